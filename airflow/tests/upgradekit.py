"""A migration as a host or task runs it, by whichever Airflow's Python this is: `python upgradekit.py JSON`.

The JSON has the URL of the database, and `told` as the release tool writes it. The users' secrets are made up.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

FAB = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
SECRETS = {
    "admin": json.dumps({"username": "admin", "password": "first-password-of-admin"}),
    "service": json.dumps({"username": "service", "password": "password-of-the-service-user"}),
}


def main() -> int:
    """Migrates; 1 and the reason if it is refused."""
    given = json.loads(sys.argv[1])
    url = given["url"]
    os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = url
    os.environ["AIRFLOW__CORE__AUTH_MANAGER"] = FAB
    from ductwork_airflow.hosts import envfile, secret
    from ductwork_airflow.release import dump, migrate, told

    envfile.log_to_stderr()
    secret.database_url = lambda _env, _fetch: url
    env = dict(os.environ) | {
        "DUCTWORK_ADMIN_SECRET_ARN": "admin",
        "DUCTWORK_SERVICE_SECRET_ARN": "service",
        "DUCTWORK_LOGIN": "{}",
        "DUCTWORK_ARTIFACT_BUCKET": "upgrades",
    }
    wanted = told.parse(json.dumps(given["told"])) if given["told"] else None
    try:
        migrate.migrate(env, SECRETS.__getitem__, wanted)
        if key := given.get("restore"):
            dump.restore(env, url, key)
    except (migrate.MigrationError, dump.DumpError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
