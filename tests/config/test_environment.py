"""Only the settings read the environment; whoever else touches it says why."""

import ast
from pathlib import Path

import metachat

SOURCE = Path(metachat.__file__).parent
SETTINGS = "foundation/settings/"

# Who may, and for what: never to learn a setting.
ALLOWED = {
    "cli/up.py": "hands all of it to the process that takes its place",
    "cli/status.py": "tells the settings which data folder the option names",
    "cli/simulate.py": "tells the settings which data folder the option names",
    "cli/backup.py": "tells the settings which data folder the option names",
    "cli/restore.py": "tells the settings which data folder the option names",
    "cli/rebuild.py": "tells the settings which target the option names",
    "cli/data.py": "tells the settings which data folder the option names",
    "cli/alerts.py": "hands the place to the stores of secrets",
    "cli/watch.py": "hands all of it to the process that takes its place",
    "operations/watching/__main__.py": "hands the place to the stores of secrets",
    "operations/provisioning/furnishing.py": "hands the place to the stores of secrets",
    "cli/child.py": "looks for credentials that systemd hands over",
    "cli/secrets/here.py": "hands the place to the stores of secrets",
    "cli/secrets/several.py": "finds the person's editor",
    "operations/secrets/editing.py": "gives the editor what it needs of it",
    "operations/journal.py": "notes the person behind sudo",
    "operations/local/start.py": "hands it to the processes that it starts, and sees what they would be told",
    "domain/knowledge/extraction.py": "keeps it from the process that reads strangers' files",
    "domain/knowledge/embedding/bundled.py": "tells a library how many threads to use",
}


def touches_environment(tree: ast.AST) -> bool:
    """Whether a module reads or writes the environment by any of its names."""
    names = {"environ", "environb", "getenv", "getenvb", "putenv"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in names and ast.unparse(node.value) == "os":
            return True
        if (
            isinstance(node, ast.ImportFrom)
            and node.module == "os"
            and names & {one.name for one in node.names}
        ):
            return True
    return False


def test_only_the_settings_read_the_environment() -> None:
    found = {
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        if touches_environment(ast.parse(path.read_bytes()))
    }
    assert any(name.startswith(SETTINGS) for name in found), "the search finds what is there"
    others = {name for name in found if not name.startswith(SETTINGS)}
    assert others - set(ALLOWED) == set(), "declare a setting, or say here why not"


def test_it_finds_each_way() -> None:
    for line in ("import os; os.environ['A']", "from os import getenv", "import os; os.getenv('A')"):
        assert touches_environment(ast.parse(line))
    assert not touches_environment(ast.parse("import os; os.getcwd()"))
