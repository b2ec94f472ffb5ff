"""XSPF held to its specification: each rule with a file that keeps it and one that breaks it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from myi_pipeline.errors import BadInput
from myi_pipeline.playlists.files import Limits
from tests.unit.playlists.conftest import Read

NS = 'xmlns="http://xspf.org/ns/0/"'
HEAD = (
    "title", "creator", "annotation", "info", "location", "identifier", "image", "date", "license", "attribution",
)  # fmt: skip
OF_TRACK = ("title", "creator", "annotation", "info", "image", "album", "trackNum", "duration")


def playlist(inner: str = "<trackList/>", *, attributes: str = f'version="1" {NS}') -> str:
    return f"<?xml version='1.0' encoding='UTF-8'?>\n<playlist {attributes}>\n{inner}\n</playlist>\n"


def track(inner: str) -> str:
    return playlist(f"<trackList><track>{inner}</track></trackList>")


def bare(document: str) -> str:
    """Without the XML declaration, so that something can stand before."""
    return document.split("\n", 1)[1]


def filled(name: str) -> str:
    text = {"date": "2020-02-29T24:00:00Z", "trackNum": "7", "duration": "7", "attribution": ""}.get(name, "a%20b")
    return f"<{name}>{text}</{name}>"


GOOD = {
    "an empty list": playlist(),
    "every element, in another order": playlist(
        "<trackList/>" + "".join(filled(name) for name in reversed(HEAD))
        + '<meta rel="x:y">z</meta><link rel="x:y">z</link><extension application="x:y"/><meta rel="x:y"/>'
    ),
    "every element of a track, in another order": track(
        "<location>a</location><identifier>b</identifier><location>c</location>"
        + "".join(filled(name) for name in reversed(OF_TRACK))
        + '<meta rel="x:y">z</meta><link rel="x:y">z</link><extension application="x:y"/>'
    ),
    "empty texts": track("<title/><creator></creator><album/><annotation/><meta rel='x:y'/>"),
    "another prefix": f'<p:playlist version="1" {NS.replace("xmlns", "xmlns:p")}><p:trackList/></p:playlist>',
    "prefixes that are not used": playlist(attributes=f'version="1" {NS} xmlns:a="urn:a" xmlns:b="urn:b"'),
    "xml:base anywhere": track('<title xml:base="c">b</title>').replace("<track>", '<track xml:base="c" xml:id="t">'),
    "an attribute of another namespace": playlist(
        attributes=f'version="1" {NS} xmlns:s="http://www.w3.org/2001/XMLSchema-instance" s:schemaLocation="a b"'
    ),
    "anything below an extension": track(
        '<extension application="x:y" xmlns:v="urn:v"><title>1</title><title>2</title>text'
        "<v:deep><v:er/></v:deep></extension>"
    ),
    "space around numbers, dates and addresses": playlist(
        "<date>\n 2005-01-08T17:10:47-05:00\t</date><trackList><track><duration> 1\n</duration><trackNum>+01</trackNum>"
        "<location>\n http://a/b \n</location></track></trackList>"
    ),
    "an address that is none": track("<location>a b</location><identifier>c d</identifier>"),
    "comments, instructions and CDATA": "<!-- a --><?b c?>" + bare(track("<!-- d --><title><![CDATA[<&>]]></title>")),
    "attributions of both kinds, several times": playlist(
        "<attribution><location>a</location><identifier>b</identifier><location>c</location></attribution><trackList/>"
    ),
    "version 0 with a track": playlist("<trackList><track/></trackList>", attributes=f'version="0" {NS}'),
    "version 0 with a day": playlist(
        "<date>2005-01-08</date><trackList><track/></trackList>", attributes=f'version="0" {NS}'
    ),
    "years before ours and after": playlist("<date>-0044-03-15T12:00:00</date><trackList/>"),
    "UTF-16": playlist().replace("UTF-8", "UTF-16").encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf" + playlist().encode(),
    "Latin-1 that says so": track("<title>\xe4</title>").replace("UTF-8", "ISO-8859-1").encode("latin-1"),
}  # fmt: skip

BAD = {
    "another root": (playlist().replace("playlist", "list"), "root element"),
    "an element around it": (f"<a>{playlist().split(chr(10), 1)[1]}</a>", "root element"),
    "no namespace": (playlist(attributes='version="1"'), "namespace"),
    "another namespace": (playlist(attributes='version="1" xmlns="http://xspf.org/ns/0"'), "namespace"),
    "no version": (playlist(attributes=NS), "version"),
    "another version": (playlist(attributes=f'version="2" {NS}'), "version"),
    "a version with a fraction": (playlist(attributes=f'version="1.0" {NS}'), "version"),
    "no trackList": (playlist("<title>a</title>"), "trackList"),
    "two trackLists": (playlist("<trackList/><trackList/>"), "second `trackList`"),
    "trackList in small letters": (playlist("<tracklist/>"), "`tracklist` is not allowed"),
    "a track outside the list": (playlist("<trackList/><track/>"), "`track` is not allowed"),
    "text in the playlist": (playlist("text<trackList/>"), "must not hold text"),
    "text in the list": (playlist("<trackList>text</trackList>"), "must not hold text"),
    "text in a track": (track("text"), "must not hold text"),
    "text in the attribution": (playlist("<attribution>text</attribution><trackList/>"), "must not hold text"),
    "another element in the playlist": (playlist("<trackList/><album/>"), "`album` is not allowed"),
    "another element in a track": (track("<license/>"), "`license` is not allowed"),
    "another element in the attribution": (playlist("<attribution><info/></attribution><trackList/>"), "`info` is not"),
    "another element in the list": (playlist("<trackList><title/></trackList>"), "`title` is not allowed"),
    "an element of another namespace": (playlist('<trackList/><a xmlns="urn:a"/>'), "`a` is not allowed"),
    "an extension in another namespace": (
        playlist('<trackList/><extension application="x:y" xmlns="urn:a"/>'), "`extension` is not allowed",
    ),
    "markup in a text": (playlist("<title><b>a</b></title><trackList/>"), "must not hold elements"),
    "markup in a track's text": (track("<album><b>a</b></album>"), "must not hold elements"),
    "markup in a meta": (track('<meta rel="x:y"><b>a</b></meta>'), "must not hold elements"),
    "another attribute of the playlist": (playlist(attributes=f'version="1" {NS} name="a"'), "attribute `name`"),
    "another attribute of a title": (playlist('<title lang="a"/><trackList/>'), "attribute `lang`"),
    "an attribute of a track": (track("<title/>").replace("<track>", '<track id="a">'), "attribute `id`"),
    "a link without rel": (playlist("<link>a</link><trackList/>"), "attribute `rel`"),
    "a meta without rel": (track("<meta>a</meta>"), "attribute `rel`"),
    "an extension without application": (track('<extension xml:base="a"/>'), "attribute `application`"),
    "a duration in words": (track("<duration>long</duration>"), "`duration` must be a whole number"),
    "a negative duration": (track("<duration>-1</duration>"), "`duration` must be a whole number"),
    "a duration with a fraction": (track("<duration>1.5</duration>"), "`duration` must be a whole number"),
    "no duration in it": (track("<duration/>"), "`duration` must be a whole number"),
    "digits of another script": (track("<trackNum>\u0661</trackNum>"), "`trackNum` must be a whole number"),
    "a day that does not exist": (playlist("<date>2005-02-29T00:00:00</date><trackList/>"), "`date` must be"),
    "a month that does not exist": (playlist("<date>2005-13-01T00:00:00</date><trackList/>"), "`date` must be"),
    "an hour that does not exist": (playlist("<date>2005-01-01T24:00:01</date><trackList/>"), "`date` must be"),
    "an offset that does not exist": (playlist("<date>2005-01-01T00:00:00+14:01</date><trackList/>"), "`date` must be"),
    "a day without a time": (playlist("<date>2005-01-01</date><trackList/>"), "`date` must be"),
    "no date in it": (playlist("<date/><trackList/>"), "`date` must be"),
    "version 0 without a track": (playlist(attributes=f'version="0" {NS}'), "XSPF 0"),
    "version 0 with an extension": (
        playlist('<extension application="x:y"/><trackList><track/></trackList>', attributes=f'version="0" {NS}'),
        "XSPF 0",
    ),
    "XML that does not end": (playlist()[:-15], "not well-formed"),
    "two roots": (playlist() + "<a/>", "not well-formed"),
    "an entity of nobody": (track("<title>&nbsp;</title>"), "not well-formed"),
    "a prefix of nobody": (track("<a:title/>"), "not well-formed"),
    "not UTF-8": (track("<title>\xe4</title>").encode("latin-1"), "not well-formed"),
    "an encoding of nobody": (playlist().replace("UTF-8", "klingon"), "encoding"),
    "nothing": ("", "XML"),
}  # fmt: skip


@pytest.mark.parametrize("content", GOOD.values(), ids=list(GOOD))
def test_a_file_that_keeps_the_rules_is_read(content: str | bytes, read: Read) -> None:
    assert read(content, "a.xspf").format.key == "xspf"


@pytest.mark.parametrize(("content", "reason"), BAD.values(), ids=list(BAD))
def test_a_file_that_breaks_a_rule_is_refused_with_place_and_rule(
    content: str | bytes, reason: str, read: Read
) -> None:
    with pytest.raises(BadInput, match=r"\Aa\.xspf") as refused:
        read(content, "a.xspf")
    assert reason in str(refused.value)
    assert refused.value.rule
    assert "line " in refused.value.place or not content


@pytest.mark.parametrize("name", [*HEAD, "trackList"])
def test_an_element_of_the_playlist_may_stand_once(name: str, read: Read) -> None:
    with pytest.raises(BadInput, match=f"second `{name}`"):
        read(
            playlist(filled(name) * 2 + "<trackList/>") if name != "trackList" else playlist("<trackList/>" * 2),
            "a.xspf",
        )


@pytest.mark.parametrize("name", OF_TRACK)
def test_an_element_of_a_track_may_stand_once_in_each(name: str, read: Read) -> None:
    with pytest.raises(BadInput, match=f"second `{name}`"):
        read(track(filled(name) * 2), "a.xspf")
    one = f"<track>{filled(name)}</track>"
    assert len(read(playlist(f"<trackList>{one}{one}</trackList>"), "a.xspf").playlists[0].entries) == 2


def test_what_a_file_tells_is_what_is_read(read: Read) -> None:
    content = playlist(
        "<title>Mine</title><creator>Me</creator><annotation>Of\n2020</annotation><location>http://a/</location>"
        "<image>http://b/</image><date>2020-01-01T00:30:00+01:00</date><trackList><track>"
        "<location>https://open.spotify.com/track/6rqhFgbbKwnb9MLmUQDhG6?si=x</location>"
        "<identifier>https://musicbrainz.org/recording/E8F9B188-f819-4e43-ab0f-4bd26ce9ff56</identifier>"
        "<identifier>isrc:us-um7-17-03861</identifier>"
        "<title> Song </title><creator>A, B</creator><album>C</album><trackNum>3</trackNum><duration>1000</duration>"
        "</track></trackList>"
    )
    (found,) = read(content, "a.xspf").playlists
    assert (found.name, found.creator, found.description, found.url) == ("Mine", "Me", "Of\n2020", "http://a/")
    assert found.created_at == datetime(2019, 12, 31, 23, 30, tzinfo=UTC)
    track_ = found.entries[0].track
    assert track_.uri == "spotify:track:6rqhFgbbKwnb9MLmUQDhG6"
    assert track_.recording_mbid == "e8f9b188-f819-4e43-ab0f-4bd26ce9ff56"
    assert (track_.isrc, track_.title, track_.artists) == ("USUM71703861", " Song ", ("A, B",))
    assert (track_.album, track_.track_number, track_.duration_ms) == ("C", 3, 1000)


def test_what_is_not_kept_is_said_once_with_its_number(read: Read) -> None:
    content = playlist("<trackList>" + "<track><annotation>a</annotation><info>b c</info></track>" * 3 + "</trackList>")
    assert read(content, "a.xspf").warnings == (
        "a.xspf, line 3, column 32: `annotation` of `track` is not kept (3 times).",
        "a.xspf, line 3, column 54: `info` of `track` is not a URI (3 times).",
        "a.xspf, line 3, column 54: `info` of `track` is not kept (3 times).",
    )


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
HOSTILE = {
    "a billion laughs": f'<!DOCTYPE p [<!ENTITY l0 "ha">{LAUGHS}]>' + bare(track("<title>&l9;</title>")),
    "quadratic blowup":
        f'<!DOCTYPE p [<!ENTITY a "{"a" * 50_000}">]>' + bare(track(f"<title>{'&a;' * 50_000}</title>")),
    "a file from the disk": '<!DOCTYPE p [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
        + bare(track("<title>&a;</title>")),
    "a file from the network": '<!DOCTYPE playlist SYSTEM "http://127.0.0.1:9/a.dtd">' + bare(playlist()),
    "parameter entities": '<!DOCTYPE p [<!ENTITY % a "<!ENTITY b \'c\'>">%a;]>' + bare(playlist()),
    "an empty DOCTYPE": "<!DOCTYPE playlist>" + bare(playlist()),
}  # fmt: skip


@pytest.mark.parametrize("content", HOSTILE.values(), ids=list(HOSTILE))
def test_a_doctype_is_refused_at_once(content: str, read: Read) -> None:
    with pytest.raises(BadInput, match="DOCTYPE") as refused:
        read(content, "a.xspf")
    assert refused.value.rule == "XML without DOCTYPE"


def test_depth_texts_attributes_and_entries_are_bounded(read: Read) -> None:
    deep = track(f'<extension application="x:y">{"<a>" * 60}{"</a>" * 60}</extension>')
    wide = playlist(attributes=f'version="1" {NS} ' + " ".join(f'a{n}="b"' for n in range(200)))
    for content, rule in (
        (deep, "max_depth"),
        (wide, "max_attributes"),
        (track(f"<title>{'a' * 40_000}</title>"), "max_text_chars"),
        (track(f'<extension application="x:y"><a>{"a" * 40_000}</a></extension>'), "max_text_chars"),
    ):
        with pytest.raises(BadInput) as refused:
            read(content, "a.xspf")
        assert refused.value.rule == rule
    with pytest.raises(BadInput) as refused:
        read(playlist(f"<trackList>{'<track/>' * 11}</trackList>"), "a.xspf", limits=Limits(max_entries=10))
    assert refused.value.rule == "max_entries"


def test_a_number_beyond_all_bounds_is_not_kept(read: Read) -> None:
    reading = read(track(f"<duration>{'9' * 90}</duration><trackNum>99999999999</trackNum><title>a</title>"), "a.xspf")
    assert (reading.playlists[0].entries[0].track.duration_ms, reading.playlists[0].entries[0].track.track_number) == (
        None,
        None,
    )
    assert len(reading.warnings) == 2
