"""Env files: read as people write them, every bad line named, and written so that they read back."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.config.conftest import Judge, accepted

from metachat.foundation.settings import envfile

READ = {
    b"A=b": "b",
    b"A = b ": "b",
    b"  export A=b": "b",
    b"export   A=b": "b",
    b"\xef\xbb\xbfA=b": "b",
    b"A=b\r\n": "b",
    b"A=": "",
    b"A=b # said": "b",
    b"A=b#c": "b#c",
    b"A=# said": "",
    b"A='b # c' # said": "b # c",
    b"A='b\\n'": "b\\n",
    b'A="b c"': "b c",
    b'A="b\\"c\\\\d\\ne\\$f"': 'b"c\\d\ne$f',
    b"A=b'c": "b'c",
    b"A=b=c==": "b=c==",
    b"A=${B}": "${B}",
    b"A='\xc3\xbc'": "ü",
    b"# A=c\n\n   \nA=b": "b",
    b"A=b\rB=c": "b",
}

BAD = {
    b"A": "",
    b"just words here": "",
    b"=b": "",
    b"1A=b": "",
    b"A='b": "A",
    b'A="b': "A",
    b'A="b\\"': "A",
    b"A='b'c": "A",
    b'A="b" c': "A",
    b"A=\xff\xfe": "A",
    b"A=b\0c": "A",
}


@pytest.mark.parametrize("content", READ)
def test_what_people_write_is_read(content: bytes) -> None:
    lines, bad = envfile.read(content)
    assert bad == []
    assert lines[0].name == "A"
    assert lines[0].value == READ[content]


@pytest.mark.parametrize("content", BAD)
def test_a_bad_line_is_told_by_its_number(content: bytes) -> None:
    lines, bad = envfile.read(b"# first\nB=c\n" + content + b"\nC=d\n")
    assert [line.name for line in lines] == ["B", "C"]
    assert [(fault.number, fault.name) for fault in bad] == [(3, BAD[content])]


def test_bad_lines_and_repeated_names_are_problems_without_their_text(judge: Judge, tmp_path: Path) -> None:
    file = tmp_path / "site.env"
    file.touch(mode=0o600)
    good = "".join(f"{name}='{value}'\r\n" for name, value in accepted().items())
    file.write_text(
        f"{good}METACHAT_PORT=8080\nMETACHAT_LOG_FORMAT='json\nMETACHAT_PORT=9090\n"
        "my secret words\nOTHER=1\nOTHER=2\n"
    )
    verdict = judge(file, "--production")
    assert verdict.names == {"METACHAT_PORT", "METACHAT_LOG_FORMAT", str(file)}
    assert "lines 14 and 16" in verdict.of("METACHAT_PORT")["problem"]
    assert "line 15" in verdict.of("METACHAT_LOG_FORMAT")["problem"]
    assert "line 17" in verdict.of(str(file))["problem"]
    assert "secret words" not in verdict.output


NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True)
# What a process can be given: anything but NUL, lone surrogates, and the sign for bytes that are no text.
VALUES = st.text(st.characters(codec="utf-8", exclude_characters="\0\ufffd"), max_size=60)


@given(st.dictionaries(NAMES, VALUES, max_size=8))
def test_what_is_written_reads_back(values: dict[str, str]) -> None:
    content = "".join(envfile.write(name, value) for name, value in values.items()).encode()
    lines, bad = envfile.read(content)
    assert bad == []
    assert {line.name: line.value for line in lines} == values


@given(st.dictionaries(NAMES, VALUES, max_size=8))
def test_line_ends_marks_and_export_change_nothing(values: dict[str, str]) -> None:
    written = [envfile.write(name, value).rstrip("\n") for name, value in values.items()]
    plain = "".join(f"{line}\n" for line in written).encode()
    dressed = b"\xef\xbb\xbf" + "".join(f"\r\n# said\r\n export {line} \r\n" for line in written).encode()
    assert [(one.name, one.value) for one in envfile.read(plain)[0]] == [
        (one.name, one.value) for one in envfile.read(dressed)[0]
    ]


@given(st.binary(max_size=300))
def test_any_bytes_are_read_line_by_line(content: bytes) -> None:
    lines, bad = envfile.read(content)
    numbers = sorted([line.number for line in lines] + [fault.number for fault in bad])
    assert numbers == sorted(set(numbers))
    assert all(1 <= number <= content.count(b"\n") + content.count(b"\r") + 1 for number in numbers)
    # What follows a file is read whatever came before it.
    assert envfile.read(content + b"\nLAST=1")[0][-1].value == "1"
