"""Functions in conditions, without a cloud."""

from __future__ import annotations

from localcloud.cfn.expressions import _resolved

KNOWN = {"Ranges": "10.0.0.0/8,192.0.2.0/24", "Class": "db.t4g.small", "One": "1"}


def test_a_split_of_a_padded_list() -> None:
    split = {"Fn::Split": [",", {"Fn::Sub": "${Ranges},,"}]}
    assert _resolved(split, KNOWN) == ["10.0.0.0/8", "192.0.2.0/24", "", ""]


def test_a_split_of_a_parameter_within_other_functions() -> None:
    condition = {
        "Fn::Not": [{"Fn::Equals": [{"Fn::Select": [2, {"Fn::Split": [".", {"Ref": "Class"}]}]}, "small"]}]
    }
    wanted = {"Fn::Not": [{"Fn::Equals": [{"Fn::Select": [2, ["db", "t4g", "small"]]}, "small"]}]}
    assert _resolved(condition, KNOWN) == wanted


def test_a_join_and_what_is_left_alone() -> None:
    assert _resolved({"Fn::Join": ["-", ["a", {"Ref": "One"}]]}, KNOWN) == "a-1"
    plain = {"Fn::Equals": [{"Ref": "One"}, "1"]}
    assert _resolved(plain, KNOWN) == plain
