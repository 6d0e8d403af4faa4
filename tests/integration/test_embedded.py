"""The embedded server, tried on real processes: shared, killed, in odd places, and where it cannot be."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest

from engine.core.errors import RepositoryError
from engine.db import embedded_files
from engine.db.embedded import EmbeddedPostgres, throwaway_server
from engine.db.embedded_files import ServerAccount, copy_wheel, default_home, programs_for
from engine.db.embedded_server import is_alive

USE = """
import sys
from pathlib import Path
from engine.db.embedded import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1])).start()
print(server.ensure_database("shared"), flush=True)
sys.stdin.read()
server.stop()
"""


@pytest.fixture(scope="module")
def cluster(own_environment: Path) -> Path:
    """A folder with a cluster that was made, used and stopped."""
    home = own_environment / "shared cluster"
    with EmbeddedPostgres(home) as server:
        server.ensure_database("kept")
    return home


@pytest.fixture
def home(cluster: Path) -> Iterator[Path]:
    """The cluster, stopped before and after the test whatever the test does to it."""
    yield cluster
    assert EmbeddedPostgres(cluster).shutdown()


@pytest.fixture
def fresh(own_environment: Path) -> Iterator[Path]:
    """A folder with nothing in it, where the server's account can go."""
    folder = Path(tempfile.mkdtemp(dir=own_environment))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


def answer(server: EmbeddedPostgres, database: str = "kept") -> str:
    with psycopg.connect(server.conninfo(database)) as connection:
        (found,) = connection.execute("SELECT current_database()").fetchone() or ("",)
    return str(found)


def postmaster(home: Path) -> psutil.Process:
    return psutil.Process(int((home / "data/postmaster.pid").read_text().splitlines()[0]))


def kill(process: psutil.Process) -> None:
    process.kill()
    while is_alive(process):
        pass


def run(code: str, *arguments: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@contextmanager
def another_user(home: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has begun to use the server, until its input closes."""
    with run(USE, home) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() in ("True", "False")
        yield process


def test_what_was_written_is_there_after_a_stop_and_a_start(home: Path) -> None:
    with EmbeddedPostgres(home) as server:
        assert server.running()
        assert answer(server) == "kept"
    assert not server.running()


def test_starting_twice_is_the_same_as_once(home: Path) -> None:
    server = EmbeddedPostgres(home).start().start()
    server.stop()
    assert not server.running()


def test_the_server_runs_until_its_last_user_leaves(home: Path) -> None:
    with another_user(home):
        with EmbeddedPostgres(home) as server:
            assert answer(server) == "kept"
        assert server.running()
    assert not server.running()


def test_a_killed_user_does_not_keep_the_server_up(home: Path) -> None:
    with another_user(home) as process, EmbeddedPostgres(home) as server:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert answer(server) == "kept"
    assert not server.running()


def test_a_kept_server_outlives_its_users_until_it_is_shut_down(home: Path) -> None:
    EmbeddedPostgres(home).start(keep=True).stop()
    with EmbeddedPostgres(home) as server:
        assert answer(server) == "kept"
    assert server.running()
    assert server.shutdown()
    assert not server.running()


def test_a_shutdown_leaves_the_server_to_those_who_use_it(home: Path) -> None:
    server = EmbeddedPostgres(home).start(keep=True)
    with another_user(home):
        assert not server.shutdown()
        assert answer(server) == "kept"
    assert not server.running()


def test_a_killed_server_starts_again_with_its_data(home: Path) -> None:
    with EmbeddedPostgres(home) as server:
        kill(postmaster(home))
        assert not server.running()
        assert answer(server.start()) == "kept"


def test_a_stale_pid_that_belongs_to_another_process_now_is_seen_through(home: Path) -> None:
    with EmbeddedPostgres(home) as server:
        pid_file = home / "data/postmaster.pid"
        kill(postmaster(home))
        pid_file.write_text(f"{os.getpid()}\n" + pid_file.read_text().split("\n", 1)[1])
        assert answer(server.start()) == "kept"
        assert postmaster(home).pid != os.getpid()


def test_a_stale_pid_of_a_zombie_is_seen_through(home: Path) -> None:
    with EmbeddedPostgres(home) as server, subprocess.Popen(["true"]) as zombie:
        os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
        pid_file = home / "data/postmaster.pid"
        kill(postmaster(home))
        pid_file.write_text(f"{zombie.pid}\n" + pid_file.read_text().split("\n", 1)[1])
        assert answer(server.start()) == "kept"


def test_backends_that_outlive_a_killed_server_are_waited_for(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sleep, met = time.sleep, []

    def look(seconds: float) -> None:
        if not met and any("pre-existing shared memory block" in log.read_text() for log in home.glob("postgres.log*")):
            met.append(orphan)
            orphan.resume()
        sleep(seconds)

    with EmbeddedPostgres(home) as server:
        with psycopg.connect(server.conninfo("kept")) as connection:
            orphan = psutil.Process(connection.info.backend_pid)
            orphan.suspend()
            kill(postmaster(home))
        monkeypatch.setattr(time, "sleep", look)
        assert answer(server.start()) == "kept"
    assert met


def test_first_runs_that_coincide_make_one_cluster_and_one_database(fresh: Path) -> None:
    processes = [run(USE, fresh) for _ in range(3)]
    said = [process.communicate()[0] for process in processes]
    assert sorted(said) == ["False\n", "False\n", "True\n"]
    assert not EmbeddedPostgres(fresh).running()


def test_a_long_and_odd_path_is_a_path_like_any_other(fresh: Path) -> None:
    home = fresh / ('it\'s $HOME, "so" to `say` \\ % é ' * 3) / "deeper"
    with EmbeddedPostgres(home, throwaway=True) as server:
        server.ensure_database("a b/c?d")
        assert answer(server, "a b/c?d") == "a b/c?d"
        with psycopg.connect(server.url("a b/c?d")) as connection:
            assert connection.info.dbname == "a b/c?d"
    assert not server.socket_folder.exists()


def test_a_folder_reached_by_a_link_is_the_same_folder(home: Path, fresh: Path) -> None:
    (fresh / "link").symlink_to(home)
    with EmbeddedPostgres(home), EmbeddedPostgres(fresh / "link") as server:
        assert server.home == home
        assert answer(server) == "kept"


def test_databases_are_made_once_and_made_anew_on_demand(home: Path) -> None:
    with EmbeddedPostgres(home) as server:
        assert server.ensure_database("demo")
        assert not server.ensure_database("demo")
        with psycopg.connect(server.conninfo("demo"), autocommit=True) as connection:
            connection.execute("CREATE TABLE old ()")
            server.recreate_database("demo")
        with psycopg.connect(server.conninfo("demo")) as connection:
            assert connection.execute("SELECT to_regclass('old')").fetchone() == (None,)


def test_a_lock_is_held_by_one_process_at_a_time(home: Path) -> None:
    holder = """if True:
        import sys
        from pathlib import Path
        from engine.db.embedded import EmbeddedPostgres
        with EmbeddedPostgres(Path(sys.argv[1])).lock("migrate"):
            print("locked")
        """
    with EmbeddedPostgres(home).lock("migrate"):
        waiting = run(holder, home)
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.communicate(timeout=0.5)
    assert waiting.communicate()[0] == "locked\n"


def test_the_network_cannot_reach_the_server(home: Path) -> None:
    with EmbeddedPostgres(home):
        connections = postmaster(home).net_connections("inet")
    assert connections == []


def test_a_file_in_place_of_the_folder_is_one_clear_error(fresh: Path) -> None:
    (fresh / "file").write_text("")
    for home in (fresh / "file", fresh / "file" / "home"):
        with pytest.raises(RepositoryError, match=f"cannot use {home}: not a folder") as caught:
            EmbeddedPostgres(home).start()
        assert "CAMPAIGN_HOME" in caught.value.hint


def test_a_folder_that_others_cannot_reach_is_one_clear_error(fresh: Path) -> None:
    is_root = os.geteuid() == 0
    (fresh / "private").mkdir(mode=0o700 if is_root else 0o500)
    expected = "cannot be reached by" if is_root else "Permission denied"
    with pytest.raises(RepositoryError, match=expected) as caught:
        EmbeddedPostgres(fresh / "private" / "home").start()
    assert "CAMPAIGN_HOME" in caught.value.hint


def test_root_without_an_account_for_the_server_is_told_to_add_one(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(embedded_files, "ACCOUNTS", ("no-such-account",))
    with pytest.raises(RepositoryError, match="no account no-such-account") as caught:
        ServerAccount(fresh / "not there yet")
    assert "useradd" in caught.value.hint


def test_files_that_are_no_cluster_are_left_alone(fresh: Path) -> None:
    (fresh / "data").mkdir()
    (fresh / "data" / "diary.txt").write_text("dear diary")
    with pytest.raises(RepositoryError, match="Directory not empty"):
        EmbeddedPostgres(fresh, throwaway=True).start()
    assert (fresh / "data" / "diary.txt").read_text() == "dear diary"


def test_a_cluster_of_another_major_version_is_left_alone(fresh: Path) -> None:
    (fresh / "data").mkdir()
    (fresh / "data" / "PG_VERSION").write_text("9\n")
    with pytest.raises(RepositoryError, match=r"made by PostgreSQL 9, and this is PostgreSQL \d+\.\d+"):
        EmbeddedPostgres(fresh).start()


def test_a_server_that_does_not_come_up_says_why_and_where_its_log_is(home: Path) -> None:
    with pytest.raises(RepositoryError, match='invalid value for parameter "work_mem"') as caught:
        EmbeddedPostgres(home, {"work_mem": "a lot"}).start()
    assert "postgres.log" in caught.value.hint


def test_a_database_that_cannot_be_made_is_one_clear_error(home: Path) -> None:
    with EmbeddedPostgres(home) as server, pytest.raises(RepositoryError, match="cannot make the embedded"):
        server.recreate_database("postgres")


def test_the_next_throwaway_server_removes_what_a_killed_run_left() -> None:
    code = "from engine.db.embedded import *; print(throwaway_server().start().home, flush=True); input()"
    with run(code) as process:
        assert process.stdout is not None
        left = Path(process.stdout.readline().strip())
        process.kill()
    server = postmaster(left)
    os.utime(left, (0, 0))
    throwaway_server().shutdown()
    assert not left.exists()
    assert not is_alive(server)


def test_the_programs_run_from_a_copy_where_the_wheel_cannot_be_reached(fresh: Path) -> None:
    account = ServerAccount(fresh)
    package = programs_for(account, fresh).parents[1]
    copy = copy_wheel(package, fresh / "copy")
    assert account.run(copy / "pginstall/bin/postgres", "--version").startswith("postgres (PostgreSQL)")
    assert not list(copy.rglob("include"))


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"CAMPAIGN_HOME": "/srv/c", "XDG_DATA_HOME": "/x"}, "/srv/c"),
        ({"CAMPAIGN_HOME": "~/c"}, "/home/ada/c"),
        ({"XDG_DATA_HOME": "/x"}, "/x/campaign"),
        ({"XDG_DATA_HOME": "not/absolute"}, "/home/ada/.local/share/campaign"),
        ({}, "/home/ada/.local/share/campaign"),
    ],
)
def test_data_is_kept_in_the_users_data_directory(
    environment: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CAMPAIGN_HOME", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for name, value in {"HOME": "/home/ada", **environment}.items():
        monkeypatch.setenv(name, value)
    assert default_home() == Path(expected)
