"""Where searches are kept: an Optuna storage that a kill at any moment leaves whole (DESIGN section 5).

A trial is written once it is finished, in one transaction, so that there is no half trial to find. One search writes at
a time: a lock that the operating system (or the database server) gives back when its holder dies. A study keeps the
problem it was made for, whole, and goes on only with the same.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from designer.problem import Problem, differing, identity, read_problem
from designer.quiet import quiet_optuna
from designer.search import directions_of
from designer.told import NUMBER
from followers.errors import InputError

if TYPE_CHECKING:
    import optuna
    from optuna.storages import BaseStorage, RDBStorage
    from optuna.trial import FrozenTrial

__all__ = ["STUDY", "Ledger", "StudyLog", "keep", "read"]

STUDY = "truerank"
"""Name of a study in its storage; that of its front has " front" after it."""

_PROBLEM, _IDENTITY, _ASKED = "problem", "problem_sha256", "trials_asked"
_PATIENCE = 5.0  # seconds to wait for a database that another program is writing to
_JOURNALS = {".journal", ".log", ".jsonl"}


@dataclass(frozen=True, slots=True)
class StudyLog:
    """A study's finished trials by number; see `designer.trials.Log`."""

    study: optuna.Study
    known: Mapping[int, FrozenTrial]

    def add(self, trial: FrozenTrial) -> None:
        """Write a finished trial, in one transaction."""
        self.study.add_trial(trial)


@dataclass(frozen=True, slots=True)
class Ledger:
    """A stored search: the trials for the goal, and those for the front.

    shown : the file or URL it is kept in, without password. problem : what it was asked.
    """

    shown: str
    problem: Problem
    goal: StudyLog
    front: StudyLog

    def ask(self, trials: int) -> None:
        """Write down how many trials are wanted in all, for those who read an unfinished study."""
        self.goal.study.set_user_attr(_ASKED, trials)

    @property
    def asked(self) -> int | None:
        """How many trials were wanted when the study was last written to."""
        return self.goal.study.user_attrs.get(_ASKED)

    @property
    def identity(self) -> str:
        """SHA-256 of the problem as it was written."""
        return str(self.goal.study.user_attrs[_IDENTITY])

    @property
    def done(self) -> int:
        """Trials that are finished."""
        return len(self.goal.known) + len(self.front.known)


@contextmanager
def keep(where: str, problem: Problem, *, resume: bool, name: str = STUDY) -> Iterator[Ledger]:
    """Open or begin the study of a problem for writing, alone.

    Parameters
    ----------
    where : a file (SQLite; with the ending .journal, .log or .jsonl Optuna's journal), or a URL that SQLAlchemy
        understands, such as postgresql+psycopg://user@host/database.
    resume : whether to go on with a study that has trials.

    Raises
    ------
    InputError : it cannot be opened or is in use; it is of another program or another problem; it has trials and is not
        to be resumed.
    """
    shown = _shown(where)
    with ExitStack() as stack:
        stack.enter_context(quiet_optuna())
        storage = stack.enter_context(_storage(where, write=True))
        document = problem.document()
        logs = []
        for label in (name, f"{name} front"):
            study = _study(storage, label, problem, shown)
            _claim(study, document, shown)
            logs.append(StudyLog(study, _trials(study, shown)))
        done = sum(len(log.known) for log in logs)
        if done and not resume:
            raise InputError(f"{shown}: holds {done} trials of this search already; --resume goes on with them")
        yield Ledger(shown, problem, logs[0], logs[1])


@contextmanager
def read(where: str, *, name: str = STUDY) -> Iterator[Ledger]:
    """A stored study as it stands, for reading; a search may be writing to it.

    Raises
    ------
    InputError : there is none, it cannot be opened, or it is of another program.
    """
    shown = _shown(where)
    with quiet_optuna(), _storage(where, write=False) as storage:
        import optuna

        names = [s.study_name for s in optuna.get_all_study_summaries(storage)]
        if name not in names:
            there = f"; studies there: {', '.join(names)}" if names else ""
            raise InputError(f"{shown}: no study named {name!r}{there}")
        studies = [optuna.load_study(study_name=n, storage=storage) for n in (name, f"{name} front") if n in names]
        document = studies[0].user_attrs.get(_PROBLEM)
        if document is None:
            raise InputError(f"{shown}: study {name!r} was not made by this program")
        try:
            problem = read_problem(document)
        except InputError as error:
            raise InputError(f"{shown}: {error}") from None
        logs = [StudyLog(study, _trials(study, shown)) for study in studies]
        yield Ledger(shown, problem, logs[0], logs[1] if len(logs) > 1 else StudyLog(studies[0], {}))


def _study(storage: BaseStorage, label: str, problem: Problem, shown: str) -> optuna.Study:
    import optuna

    directions = directions_of(problem, front=label.endswith(" front"))
    study = optuna.create_study(study_name=label, storage=storage, directions=directions, load_if_exists=True)
    if [d.name.lower() for d in study.directions] != directions:
        raise InputError(f"{shown}: study {label!r} optimises something else; it is of another program or problem")
    return study


def _claim(study: optuna.Study, document: Mapping[str, Any], shown: str) -> None:
    """Write the problem into a new study; refuse one that has another, or none and trials."""
    kept = study.user_attrs
    if _IDENTITY not in kept:
        if study.get_trials(deepcopy=False):
            raise InputError(f"{shown}: study {study.study_name!r} was not made by this program")
        study.set_user_attr(_PROBLEM, dict(document))
        study.set_user_attr(_IDENTITY, identity(document))
    elif kept[_IDENTITY] != identity(document):
        parts = ", ".join(differing(document, kept.get(_PROBLEM, {}))) or "its version"
        raise InputError(
            f"{shown}: made for another problem (another {parts}); ask the same one, or name another --study"
        )


def _trials(study: optuna.Study, shown: str) -> dict[int, FrozenTrial]:
    """Finished trials by the number under which they were proposed."""
    found: dict[int, FrozenTrial] = {}
    for trial in study.get_trials(deepcopy=False):
        number = trial.user_attrs.get(NUMBER)
        if number is None or not trial.state.is_finished():
            raise InputError(f"{shown}: study {study.study_name!r} holds a trial that this program did not write")
        if number in found:
            raise InputError(f"{shown}: study {study.study_name!r} holds trial {number} twice")
        found[number] = trial
    return found


@contextmanager
def _storage(where: str, *, write: bool) -> Iterator[BaseStorage]:
    """The storage, held for this process alone where it is written to."""
    shown = _shown(where)
    with ExitStack() as stack:
        try:
            yield stack.enter_context(_server(where, write) if "://" in where else _file(Path(where), write))
        except InputError:
            raise
        except Exception as error:
            if not _of_database(error):
                raise
            raise InputError(f"{shown}: {_reason(error)}") from None


def _of_database(error: Exception) -> bool:
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    return isinstance(error, SQLAlchemyError | StorageInternalError | sqlite3.Error | OSError)


def _reason(error: BaseException) -> str:
    """The first line of what went wrong deepest down."""
    while error.__cause__ is not None:
        error = error.__cause__
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return f"cannot be used as a study ({line})"


@contextmanager
def _file(path: Path, write: bool) -> Iterator[BaseStorage]:
    from filelock import FileLock, Timeout

    if not write and not path.exists():
        raise InputError(f"{path}: no such study")
    if path.is_dir() or not path.parent.is_dir():
        raise InputError(f"{path}: is a folder" if path.is_dir() else f"{path}: no such folder {path.parent}")
    journal = path.suffix.lower() in _JOURNALS
    _known(path, journal=journal, write=write)
    lock = FileLock(f"{path}.lock", timeout=0)
    if write:
        try:
            lock.acquire()
        except Timeout:
            raise InputError(f"{path}: another search is writing to it; wait for it, or name another --study") from None
    try:
        if journal:
            yield _journal(path, write)
        else:
            with _rdb(f"sqlite:///{path}", {"timeout": _PATIENCE}) as storage:
                yield storage
    finally:
        if write:
            lock.release()  # its file stays: to remove it while another waits for it would let two in


def _known(path: Path, *, journal: bool, write: bool) -> None:
    """Refuse a file of another kind before Optuna writes its tables into it, and a database that is locked."""
    if not path.exists() or path.stat().st_size == 0:
        return
    if journal:
        with path.open("rb") as file:
            if not file.read(1).startswith(b"{"):
                raise InputError(f"{path}: not a journal of studies")
        return
    try:
        with closing(
            sqlite3.connect(f"file:{path}?mode={'rw' if write else 'ro'}", uri=True, timeout=_PATIENCE)
        ) as base:
            tables = {row[0] for row in base.execute("select name from sqlite_master where type = 'table'")}
            if write:
                base.execute("begin immediate")
                base.rollback()
    except sqlite3.OperationalError as error:
        raise InputError(f"{path}: cannot be opened ({error}); is another program using it?") from None
    except sqlite3.DatabaseError:
        raise InputError(f"{path}: not a database of studies") from None
    if tables and "studies" not in tables:
        raise InputError(f"{path}: a database of something else; its tables are {', '.join(sorted(tables)[:3])} ..")


@contextmanager
def _rdb(url: str, arguments: Mapping[str, Any] | None = None) -> Iterator[RDBStorage]:
    from optuna.storages import RDBStorage

    storage = RDBStorage(url, engine_kwargs={"connect_args": dict(arguments or {})})
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _journal(path: Path, write: bool) -> BaseStorage:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    if write and path.exists():
        _cut_short(path)
    unlocked: Any = _Unlocked()
    return JournalStorage(JournalFileBackend(str(path), unlocked))


class _Unlocked:
    """The journal's own lock, which a killed holder would leave behind; the ledger's lock stands for it."""

    def acquire(self) -> bool:
        """At once."""
        return True

    def release(self) -> None:
        """Nothing to give back."""


def _cut_short(path: Path) -> None:
    """Drop a last line that a kill left without its end."""
    with path.open("rb+") as file:
        text = file.read()
        if text and not text.endswith(b"\n"):
            file.truncate(text.rfind(b"\n") + 1)


@contextmanager
def _server(url: str, write: bool) -> Iterator[BaseStorage]:
    """A database server; a session of its own holds the lock."""
    import sqlalchemy

    if url.startswith("sqlite"):
        raise InputError(f"{url}: name the file itself instead of a URL")
    with ExitStack() as stack:
        try:
            storage = stack.enter_context(_rdb(url))
        except (ImportError, sqlalchemy.exc.ArgumentError) as error:
            raise InputError(f"{_shown(url)}: {_reason(error)}") from None
        session = stack.enter_context(storage.engine.connect())
        if write and not _held(session, storage.engine.dialect.name):
            raise InputError(f"{_shown(url)}: another search is writing to it; wait for it, or name another --study")
        yield storage


def _held(session: Any, dialect: str) -> bool:
    """Whether the server gave us its lock; it takes it back when the session ends, however it ends."""
    import sqlalchemy

    if dialect == "postgresql":
        key = int.from_bytes(sha256(STUDY.encode()).digest()[:8], "big", signed=True)
        return bool(session.execute(sqlalchemy.text("select pg_try_advisory_lock(:key)"), {"key": key}).scalar())
    if dialect in {"mysql", "mariadb"}:
        return bool(session.execute(sqlalchemy.text("select get_lock(:name, 0)"), {"name": STUDY}).scalar())
    raise InputError(f"{dialect}: no lock is known for such a server; use PostgreSQL, MySQL or a file")


def _shown(where: str) -> str:
    """A path or URL without its password."""
    if "://" not in where:
        return where
    import sqlalchemy

    try:
        return sqlalchemy.engine.make_url(where).render_as_string(hide_password=True)
    except sqlalchemy.exc.ArgumentError:
        return where
