"""The age file: readable diffs, no byte that can be altered, no write that is lost or half done."""

import base64
import os
import random
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metachat.foundation.settings import Secret
from metachat.operations import age
from metachat.operations.secrets import (
    StoreBusy,
    StoreDamaged,
    StoreForbidden,
    StoreMissing,
    UnfitName,
    UnfitValue,
    files,
    identities,
    sealed,
)
from metachat.operations.secrets.stores.age import AgeStore

VALUES = {"session_secret": "s" * 43, "api_key_pepper": "p" * 43, "encryption_key": "e" * 43}


@pytest.fixture
def filled(age_store: AgeStore) -> AgeStore:
    """The age file with three secrets."""
    for name, value in VALUES.items():
        age_store.add(name, Secret(value))
    return age_store


def as_recovery(store: AgeStore) -> AgeStore:
    """The same file, for whoever holds the key from the safe."""
    return AgeStore(store.path, store.identity.with_name("recovery.identity"))


def test_names_and_dates_can_be_read_and_values_cannot(filled: AgeStore) -> None:
    text = filled.path.read_text()
    assert re.findall(r"^secret (\w+) \d{4}-\d\d-\d\dT", text, re.MULTILINE) == sorted(VALUES)
    assert not any(value in text for value in VALUES.values())
    assert sealed.names(filled.path.read_bytes()) == sorted(VALUES)


def test_a_change_shows_in_one_line_besides_the_mac(filled: AgeStore) -> None:
    before = filled.path.read_text().splitlines()
    filled.put("session_secret", Secret("t" * 43))
    changed = {line.split(" ")[1] for line in filled.path.read_text().splitlines() if line not in before}
    assert "session_secret" in changed
    assert len(changed) == 2  # that line, and the mac


def test_putting_the_same_value_changes_nothing(filled: AgeStore) -> None:
    before = filled.path.read_bytes()
    filled.put("session_secret", Secret(VALUES["session_secret"]))
    assert filled.path.read_bytes() == before


def test_the_recovery_key_opens_it_and_a_stranger_does_not(filled: AgeStore, tmp_path: Path) -> None:
    assert as_recovery(filled).get("session_secret") == Secret("s" * 43)
    public = identities.make(tmp_path / "stranger.identity")
    with pytest.raises(StoreForbidden, match=f"recipients add LABEL {public}"):
        AgeStore(filled.path, tmp_path / "stranger.identity").names()


def test_the_data_key_is_plain_age_so_that_the_recovery_key_needs_no_metachat(filled: AgeStore) -> None:
    wrapped = re.search(r"^data-key (.+)$", filled.path.read_text(), re.MULTILINE)
    assert wrapped
    identity = identities.load(as_recovery(filled).identity)
    assert len(age.decrypt(base64.b64decode(wrapped[1]), identity)) == 32


def test_an_added_recipient_opens_it_and_a_removed_one_no_longer(filled: AgeStore, tmp_path: Path) -> None:
    laptop = AgeStore(filled.path, tmp_path / "laptop.identity")
    filled.add_recipient("laptop", identities.make(laptop.identity))
    assert laptop.get("session_secret") == Secret("s" * 43)
    old = filled.path.read_bytes()
    made_at = filled.describe("session_secret").made_at
    filled.remove_recipient("laptop")
    assert {name: filled.get(name).reveal() for name in filled.names()} == VALUES
    assert (
        filled.describe("session_secret").made_at == made_at
    )  # its age is that of the value, not of the file
    with pytest.raises(StoreForbidden):
        laptop.names()
    old_key = sealed.parse(old, identities.load(laptop.identity)).key
    assert old_key != sealed.parse(filled.path.read_bytes(), identities.load(filled.identity)).key


def test_two_recipients_are_the_fewest(filled: AgeStore, tmp_path: Path) -> None:
    with pytest.raises(UnfitValue, match="two recipients"):
        filled.remove_recipient("recovery")
    alone = AgeStore(tmp_path / "alone.age", filled.identity)
    own = age.public(identities.load(filled.identity))
    with pytest.raises(UnfitValue, match="two recipients"):
        alone.create({"server": own, "recovery": own})
    with pytest.raises(UnfitName):
        filled.remove_recipient("nobody")
    assert not alone.path.exists()


def test_nobody_shuts_themselves_out(filled: AgeStore, tmp_path: Path) -> None:
    filled.add_recipient("laptop", identities.make(tmp_path / "laptop.identity"))
    with pytest.raises(StoreForbidden, match="could not open"):
        filled.remove_recipient("server")
    as_recovery(filled).remove_recipient("server")
    with pytest.raises(StoreForbidden):
        filled.names()


def test_an_identity_that_others_may_read_is_not_used(filled: AgeStore) -> None:
    filled.identity.chmod(0o640)
    with pytest.raises(StoreForbidden, match="chmod 600"):
        filled.names()


# Made once, since each example only alters a copy.
IDENTITY = age.new_identity()
OTHER = age.public(age.new_identity())


def document() -> sealed.Document:
    """A document with three secrets."""
    made = sealed.new({"server": age.public(IDENTITY), "recovery": OTHER})
    for name, value in VALUES.items():
        made = made.with_value(name, value, sealed_at())
    return made


def sealed_at():
    """Any time will do."""
    from datetime import UTC, datetime

    return datetime(2026, 11, 24, 14, 0, tzinfo=UTC)


CONTENT = document().render().encode()


def test_what_is_rendered_is_read_back() -> None:
    opened = sealed.parse(CONTENT, IDENTITY)
    assert {name: opened.value(name) for name in opened.entries} == VALUES
    assert opened.render().encode() == CONTENT


@given(where=st.integers(0, len(CONTENT) - 1), what=st.integers(1, 255))
def test_no_byte_can_be_altered(where: int, what: int) -> None:
    altered = bytearray(CONTENT)
    altered[where] ^= what
    with pytest.raises(StoreDamaged):
        sealed.parse(bytes(altered), IDENTITY)


def test_each_byte_altered_once() -> None:
    for where in range(len(CONTENT)):
        altered = bytearray(CONTENT)
        altered[where] ^= 1
        with pytest.raises(StoreDamaged):
            sealed.parse(bytes(altered), IDENTITY)


@given(where=st.integers(0, len(CONTENT)), what=st.binary(min_size=1, max_size=8))
def test_nothing_can_be_put_in(where: int, what: bytes) -> None:
    altered = CONTENT[:where] + what + CONTENT[where:]
    if altered != CONTENT:
        with pytest.raises(StoreDamaged):
            sealed.parse(altered, IDENTITY)


@given(length=st.integers(0, len(CONTENT) - 1))
def test_it_cannot_be_cut_short(length: int) -> None:
    with pytest.raises(StoreDamaged):
        sealed.parse(CONTENT[:length], IDENTITY)


@given(order=st.permutations(range(len(CONTENT.splitlines()))))
def test_lines_cannot_change_places(order: list[int]) -> None:
    lines = CONTENT.splitlines(keepends=True)
    altered = b"".join(lines[number] for number in order)
    if altered != CONTENT:
        with pytest.raises(StoreDamaged):
            sealed.parse(altered, IDENTITY)


@given(names=st.permutations(sorted(VALUES)))
def test_a_value_does_not_decrypt_under_another_name_even_with_the_mac_made_anew(names: list[str]) -> None:
    """Whoever has the data key can make a mac; a value moved to another name is refused all the same."""
    opened = document()
    swapped = {
        name: sealed.Entry(name, entry.made_at, opened.entries[other].sealed)
        for (name, entry), other in zip(sorted(opened.entries.items()), names, strict=True)
    }
    forged = sealed.Document(opened.recipients, opened.wrapped_key, opened.key, swapped)
    read = sealed.parse(forged.render().encode(), IDENTITY)
    for name, other in zip(sorted(VALUES), names, strict=True):
        if name == other:
            assert read.value(name) == VALUES[name]
        else:
            with pytest.raises(StoreDamaged):
                read.value(name)


def test_a_forger_who_knows_the_recipients_cannot_keep_a_single_value() -> None:
    opened = document()
    forged = sealed.new(opened.recipients)
    mixed = sealed.Document(forged.recipients, forged.wrapped_key, forged.key, opened.entries)
    read = sealed.parse(mixed.render().encode(), IDENTITY)
    for name in VALUES:
        with pytest.raises(StoreDamaged):
            read.value(name)


def test_the_markers_of_a_merge_conflict_are_named_as_such() -> None:
    text = CONTENT.decode()
    line = next(line for line in text.splitlines() if line.startswith("secret session_secret"))
    conflict = f"<<<<<<< HEAD\n{line}\n=======\n{line[:-9]}AAAAAAAA\n>>>>>>> theirs"
    with pytest.raises(StoreDamaged, match="merge conflict") as refused:
        sealed.parse(text.replace(line, conflict).encode(), IDENTITY)
    assert "--ours" in refused.value.fix


def test_converted_line_ends_are_named_as_such() -> None:
    with pytest.raises(StoreDamaged, match="line ends"):
        sealed.parse(CONTENT.replace(b"\n", b"\r\n"), IDENTITY)


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    identities.make(tmp_path / "identity")
    with pytest.raises(StoreMissing, match="generate --recovery"):
        AgeStore(tmp_path / "secrets.age", tmp_path / "identity").names()


SETTING = """
    import sys
    from pathlib import Path
    from metachat.foundation.settings import Secret
    from metachat.operations.secrets.stores.age import AgeStore
    store = AgeStore(Path(sys.argv[1]), Path(sys.argv[2]))
    print("ready", flush=True)
    for number in range(int(sys.argv[4])):
        store.put(f"{sys.argv[3]}_{number}", Secret(f"{sys.argv[3]}-{number}" * 6))
"""


def setter(store: AgeStore, prefix: str, count: int) -> subprocess.Popen[str]:
    """A process that sets secrets, one after the other."""
    argv = [
        sys.executable,
        "-c",
        textwrap.dedent(SETTING),
        str(store.path),
        str(store.identity),
        prefix,
        str(count),
    ]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_two_processes_that_set_at_the_same_time_lose_nothing(age_store: AgeStore) -> None:
    processes = [setter(age_store, prefix, 15) for prefix in ("left", "right")]
    assert [process.wait(60) for process in processes] == [0, 0]
    assert len(age_store.names()) == 30
    assert age_store.get("left_7") == Secret("left-7" * 6)


def test_a_kill_in_the_middle_of_saving_leaves_the_old_or_the_new(filled: AgeStore) -> None:
    chance = random.Random(7)
    for attempt in range(12):
        process = setter(filled, f"round{attempt}", 1000)
        time.sleep(chance.uniform(0.0, 0.08))  # anywhere between two writes
        process.send_signal(signal.SIGKILL)
        process.wait()
        found = {name: filled.get(name).reveal() for name in filled.names()}
        assert {name: found[name] for name in VALUES} == VALUES
        numbers = sorted(
            int(name.rpartition("_")[2]) for name in found if name.startswith(f"round{attempt}_")
        )
        assert numbers == list(range(len(numbers)))  # what came before the last one is all there
    filled.put("session_secret", Secret("after" * 9))
    assert sorted(entry.name for entry in os.scandir(filled.path.parent)) == [
        "recovery.identity", "secrets.age", "server.identity",
    ]  # fmt: skip


DYING = """
    import os, pathlib, signal, sys
    from metachat.foundation.settings import Secret
    from metachat.operations.secrets.stores.age import AgeStore

    calls = 0
    def dying(call):
        def counted(*arguments, **named):
            global calls
            calls += 1
            if calls == int(sys.argv[3]):
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **named)
        return counted

    os.fsync, os.fchmod = dying(os.fsync), dying(os.fchmod)
    pathlib.Path.unlink, pathlib.Path.replace = dying(pathlib.Path.unlink), dying(pathlib.Path.replace)
    AgeStore(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])).put("session_secret", Secret("t" * 43))
"""


@pytest.mark.parametrize("step", range(1, 7))
def test_a_kill_at_each_step_of_saving_leaves_the_old_or_the_new(filled: AgeStore, step: int) -> None:
    argv = [sys.executable, "-c", textwrap.dedent(DYING), str(filled.path), str(filled.identity), str(step)]
    died = subprocess.run(argv, check=False).returncode
    assert died == (
        -signal.SIGKILL if step <= 5 else 0
    )  # unlink, fchmod, fsync, replace, fsync of the folder
    expected = "s" * 43 if step <= 4 else "t" * 43
    assert {name: filled.get(name).reveal() for name in filled.names()} == {
        **VALUES,
        "session_secret": expected,
    }
    filled.put("cli_token", Secret("c" * 43))
    assert filled.get("cli_token") == Secret("c" * 43)


def test_a_lock_that_is_held_too_long_is_told(filled: AgeStore) -> None:
    with (
        files.exclusively(filled.path),
        pytest.raises(StoreBusy),
        files.exclusively(filled.path, seconds=0.1),
    ):
        pass


def test_readers_never_see_half_a_file(filled: AgeStore) -> None:
    writer = threading.Thread(
        target=lambda: [filled.put("cli_token", Secret(f"{n}" * 33)) for n in range(1, 60)]
    )
    writer.start()
    while writer.is_alive():
        assert filled.get("session_secret") == Secret("s" * 43)
    assert filled.get("cli_token") == Secret("59" * 33)
