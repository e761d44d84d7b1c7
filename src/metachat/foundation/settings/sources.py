"""Where values come from: the environment, files it names, credentials, and the data folder."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from metachat.foundation.settings import envfile, files, names
from metachat.foundation.settings.declaration import FILE_SUFFIX, PREFIX, variable
from metachat.foundation.settings.declared import DECLARED
from metachat.foundation.settings.problems import Problem

SECRETS_FILE = "secrets.env"
CREDENTIALS = "CREDENTIALS_DIRECTORY"


@dataclass(frozen=True, slots=True)
class Given:
    """A value as it was written, and where.

    `file` is the file to look after that holds it, and `told_as` the name under which that file's faults are
    told; without one it is the file's own.
    """

    text: str = field(repr=False)
    source: str
    file: Path | None = None
    told_as: str = ""


@dataclass(frozen=True, slots=True)
class Gathered:
    """What was found, by setting name; `problems` are those of finding it."""

    values: dict[str, Given]
    problems: list[Problem]

    def add(self, name: str, given: Given) -> None:
        """Take a value unless an earlier source had one."""
        if not self.text(name):
            self.values[name] = given

    def text(self, name: str) -> str:
        """The value as it was written, empty when there is none."""
        return self.values[name].text if name in self.values else ""


def of_process(environ: Mapping[str, str] | None = None) -> Gathered:
    """Gather what a process is given, this one unless told otherwise.

    The environment wins over the files it names with METACHAT_X_FILE, these over a file `x` in
    $CREDENTIALS_DIRECTORY, and all of them over `secrets.env` in the data folder.
    """
    environ = os.environ if environ is None else environ
    gathered = Gathered({}, [])
    _environment(environ, "environment", gathered)
    if environ.get(CREDENTIALS):
        _credentials(Path(environ[CREDENTIALS]), gathered)
    folder = Path(gathered.text("data_dir")) if gathered.text("data_dir") else data_dir(environ)
    _secrets_file(folder / SECRETS_FILE, gathered)
    return gathered


def of_env_file(path: Path) -> Gathered:
    """Gather what one file gives, and the files it names; nothing around it counts."""
    gathered = Gathered({}, [])
    _environment(_env_file(path, gathered), f"file {path}", gathered, path)
    return gathered


def data_dir(environ: Mapping[str, str] | None = None) -> Path:
    """Tell where the data lies: as told, or `var` in a checkout, else in the home folder."""
    environ = os.environ if environ is None else environ
    told = environ.get(variable("data_dir"))
    if told:
        return Path(told)
    checkout = Path(__file__).parents[4]
    if (checkout / "pyproject.toml").is_file() and (checkout / "migrations").is_dir():
        return checkout / "var"
    return Path.home() / ".local" / "share" / "metachat"


def _environment(
    environ: Mapping[str, str], source: str, gathered: Gathered, file: Path | None = None
) -> None:
    named: dict[str, str] = {}
    for name, text in environ.items():
        if not name.upper().startswith(PREFIX):
            # A process has a hundred names of others around it; a file is ours, so what is near is a slip.
            if file is not None and names.has_nearly_our_prefix(name):
                gathered.problems.append(names.unknown(name))
            continue
        setting = names.setting(name)
        if setting in DECLARED:
            gathered.values[setting] = Given(text, source, file)
        elif setting.removesuffix(FILE_SUFFIX.lower()) in DECLARED:
            named[setting.removesuffix(FILE_SUFFIX.lower())] = text
        elif names.is_unknown(name):
            gathered.problems.append(names.unknown(name))
    for setting, path in named.items():
        _named_file(setting, path, gathered)


def _named_file(setting: str, path: str, gathered: Gathered) -> None:
    name = variable(setting) + FILE_SUFFIX
    if not path:
        return
    if gathered.text(setting):
        fix = f"Leave {variable(setting)} or {name} out."
        gathered.problems.append(Problem(name, f"is given beside {variable(setting)}", "one of the two", fix))
        return
    content = files.read(Path(path), name, gathered.problems)
    if content is not None:
        # An editor, and `echo`, end the last line of a file.
        text = content.decode("utf-8-sig", errors="replace").rstrip("\r\n")
        gathered.values[setting] = Given(text, f"file {path}", Path(path), name)


def _credentials(folder: Path, gathered: Gathered) -> None:
    """Take what systemd hands over; it guards that folder itself, whatever the modes of the files say."""
    for setting in DECLARED:
        path = folder / setting
        if gathered.text(setting) or not path.is_file():
            continue
        content = files.read(path, variable(setting), gathered.problems)
        if content is not None:
            text = content.decode("utf-8-sig", errors="replace").rstrip("\r\n")
            gathered.add(setting, Given(text, f"credential {path}"))


def _secrets_file(path: Path, gathered: Gathered) -> None:
    if not path.exists():
        return
    # What lies in the data folder is for us alone, in development as well.
    gathered.problems.extend(files.exposed(path))
    for name, text in _env_file(path, gathered).items():
        setting = names.setting(name)
        if setting in DECLARED:
            gathered.add(setting, Given(text, f"file {path}"))
        elif names.is_unknown(name):
            gathered.problems.append(names.unknown(name))


def _env_file(path: Path, gathered: Gathered) -> dict[str, str]:
    content = files.read(path, str(path), gathered.problems)
    lines, bad = envfile.read(content or b"")
    for fault in bad:
        where = f"line {fault.number} of {path}"
        fix = f"Mend {where}; the rules are in the operators' manual."
        gathered.problems.append(
            Problem(_safe(fault.name) or str(path), f"{fault.problem} ({where})", "NAME=value", fix)
        )
    values: dict[str, str] = {}
    first: dict[str, int] = {}
    for line in lines:
        if line.name in values and line.name.upper().startswith(PREFIX):
            said = f"is given twice in {path}, in lines {first[line.name]} and {line.number}"
            fix = f"Take one of the two lines out of {path}."
            gathered.problems.append(Problem(line.name, said, "one value", fix))
        first.setdefault(line.name, line.number)
        values[line.name] = line.value
    return values


def _safe(name: str) -> str:
    # What stands before the first "=" of a broken line may be half of a key.
    return name if name.startswith(PREFIX) else ""
