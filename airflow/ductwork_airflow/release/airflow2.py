"""What Airflow 2 called by another name, as far as an import or a call tells; ruff's AIR rules know more."""

from __future__ import annotations

_STANDARD = "airflow.providers.standard"
_SQL = "airflow.providers.common.sql"
_SDK = "airflow.sdk"

# A name that is imported, with the module that has it now.
_MOVED = {
    "BaseHook": _SDK,
    "BaseOperator": _SDK,
    "BaseSensorOperator": _SDK,
    "Param": _SDK,
    "TaskGroup": _SDK,
    "chain": _SDK,
    "cross_downstream": _SDK,
    "get_current_context": _SDK,
    "BashOperator": f"{_STANDARD}.operators.bash",
    "BashSensor": f"{_STANDARD}.sensors.bash",
    "BranchDateTimeOperator": f"{_STANDARD}.operators.datetime",
    "BranchDayOfWeekOperator": f"{_STANDARD}.operators.weekday",
    "BranchPythonOperator": f"{_STANDARD}.operators.python",
    "DateTimeSensor": f"{_STANDARD}.sensors.date_time",
    "ExternalTaskMarker": f"{_STANDARD}.sensors.external_task",
    "ExternalTaskSensor": f"{_STANDARD}.sensors.external_task",
    "FileSensor": f"{_STANDARD}.sensors.filesystem",
    "LatestOnlyOperator": f"{_STANDARD}.operators.latest_only",
    "PythonOperator": f"{_STANDARD}.operators.python",
    "PythonSensor": f"{_STANDARD}.sensors.python",
    "PythonVirtualenvOperator": f"{_STANDARD}.operators.python",
    "ShortCircuitOperator": f"{_STANDARD}.operators.python",
    "TimeDeltaSensor": f"{_STANDARD}.sensors.time_delta",
    "TriggerDagRunOperator": f"{_STANDARD}.operators.trigger_dagrun",
    "BranchSQLOperator": f"{_SQL}.operators.sql",
    "DbApiHook": f"{_SQL}.hooks.sql",
    "EmailOperator": "airflow.providers.smtp.operators.smtp",
    "PostgresHook": "airflow.providers.postgres.hooks.postgres",
    "S3Hook": "airflow.providers.amazon.aws.hooks.s3",
    "S3KeySensor": "airflow.providers.amazon.aws.sensors.s3",
    "TemporaryDirectory": "tempfile",
    "create_session": "airflow.utils.session",
    "provide_session": "airflow.utils.session",
}

# A name that is imported, with the name and the module of what replaces it.
_REPLACED = {
    "AwsHook": ("AwsBaseHook", "airflow.providers.amazon.aws.hooks.base_aws"),
    "Dataset": ("Asset", _SDK),
    "DatasetAlias": ("AssetAlias", _SDK),
    "DatasetAll": ("AssetAll", _SDK),
    "DatasetAny": ("AssetAny", _SDK),
    "DatasetOrTimeSchedule": ("AssetOrTimeSchedule", "airflow.timetables.assets"),
    "DummyOperator": ("EmptyOperator", f"{_STANDARD}.operators.empty"),
    "MySqlOperator": ("SQLExecuteQueryOperator", f"{_SQL}.operators.sql"),
    "PostgresOperator": ("SQLExecuteQueryOperator", f"{_SQL}.operators.sql"),
    "SimpleHttpOperator": ("HttpOperator", "airflow.providers.http.operators.http"),
    "SqliteOperator": ("SQLExecuteQueryOperator", f"{_SQL}.operators.sql"),
    "SubDagOperator": ("TaskGroup", _SDK),
}

NAMES = (*_MOVED, *_REPLACED)

# An argument, with its name now; None if it has gone.
ARGUMENTS = {
    "concurrency": "max_active_tasks",
    "default_view": None,
    "execution_date": "logical_date",
    "fail_stop": "fail_fast",
    "full_filepath": None,
    "orientation": None,
    "provide_context": None,
    "schedule_interval": "schedule",
    "sla": None,
    "sla_miss_callback": None,
    "task_concurrency": "max_active_tis_per_dag",
    "timetable": "schedule",
}


def cure(name: str) -> str | None:
    """What to write for a name that is imported."""
    match name:
        case "days_ago":
            return "write `pendulum.today('UTC').add(days=-N)` instead of `days_ago(N)`"
        case "apply_defaults":
            return "remove `apply_defaults`: nothing replaces it"
    if name in _MOVED:
        return f"`{name}` has moved: from {_MOVED[name]} import {name}"
    if name in _REPLACED:
        new, module = _REPLACED[name]
        return f"use `{new}` instead of `{name}`: from {module} import {new}"
    return None
