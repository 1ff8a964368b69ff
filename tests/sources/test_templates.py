"""What a reader sees of templates, tables and parser functions; what is not understood is counted."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motags.sources import wikipedia
from motags.sources.templates import counted
from servers.crawling import crawl, crawl_params
from servers.mediawiki import MediaWiki, Page, need_mediawiki


def plot(body: str) -> str | None:
    return wikipedia.plot(f"Lead.\n==Plot==\n{body}\n==Cast==\nBob as Ann.")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("They find {{formatnum:6000}} gold coins.", "They find 6,000 gold coins."),
        ("They find {{Formatnum:1234567.8912}} coins.", "They find 1,234,567.8912 coins."),
        ("They find {{formatnum:6,000|R}} coins.", "They find 6000 coins."),
        ("They find {{formatnum:{{gold|6000}}}} coins.", "They find 6,000 coins."),
        ("They find {{val|6000|u=kg}} of {{nts|12000}}.", "They find 6,000 kg of 12,000."),
        ("They find {{gold coins|6,000}} coins.", "They find 6,000 coins."),
        ("They find {{Template:Gold_coins|6,000}} coins.", "They find 6,000 coins."),
        ("A man {{height|ft=6|in=2}} tall.", "A man 6 ft 2 in tall."),
        ("He has {{A$|5}}, {{font color|red|€6}} and {{INRConvert|7|c}}.", "He has A$5, €6 and ₹7 crore."),
        ("Ann {{#if:x|runs|sits}}, Bob {{#if:||sits}}, Cy {{#ifeq:a|b|runs|sits}}.", "Ann runs, Bob sits, Cy sits."),
        ("Two {{plural:2|coin|coins}}, one {{plural:1|coin|coins}} {{lc:OF GOLD}}.", "Two coins, one coin of gold."),
        ("Ann runs{{citation needed|date=May 2020}}{{rp|34}}.{{who|date=x}}{{#tag:ref|A note.}}", "Ann runs."),
        ("{{Multiple image|a.jpg}}\n{{Long plot|date=x}}\n{{More citations needed|section}}\nAnn runs.", "Ann runs."),
        ("{{Some remark|Ann}}\nAnn runs.", "Ann runs."),
        (
            "{{Some frame|All of this is told by a reader of the letter.}}\nAnn runs.",
            "All of this is told by a reader of the letter.\n\nAnn runs.",
        ),
    ],
)
def test_what_is_seen_is_kept(source: str, text: str) -> None:
    assert plot(source) == text


@pytest.mark.parametrize(
    "table",
    [
        "{|class=x\n! Actor !! Role\n|-\n| Ann || Bob\n|}",
        "{|\n|+ Cast\n! Actor\n! Role\n|-\n| Ann || Bob\n|}",
        ":{| class=x\n! Actor\n|-\n| Ann\n|}",
        "{| class=x\n|-\n! Actor\n! Role",
        "{| class=x\n! Actor\n|-\n| Ann",
        "{| class=x\n! Actor\n" * 60,
        "<table><tr><th>Actor</th></tr><tr><td>Ann</td></tr></table>",
        "<table><tr><th>Actor<th>Role",
    ],
)
def test_the_header_of_a_table_does_not_leak(table: str) -> None:
    text = plot(f"Ann runs.\n\n{table}\n\nBob sits.")
    assert text is not None
    assert (text.split("\n\n")[0], text.split("\n\n")[-1]) == ("Ann runs.", "Bob sits.")
    assert "Actor" not in text
    assert "Role" not in text


def test_a_line_that_begins_with_an_exclamation_mark_is_no_header() -> None:
    assert plot("!Kung hunters find Ann.\nShe runs.") == "!Kung hunters find Ann. She runs."


def test_unknown_templates_are_counted_by_what_became_of_them() -> None:
    with counted() as counts:
        plot("A {{gold|6,000}} b {{gold|7}} c {{riddle}} d {{#expr:1+2}} {{convert|10|km}} {{cn|date=x}}")
        plot("{{Some remark|Ann}}\nAnn {{pic|https://a.org}} runs.")
    assert counts == {
        ("kept", "gold"): 2, ("lost", "riddle"): 1, ("lost", "#expr"): 1, ("lost", "some remark"): 1,
        ("lost", "pic"): 1,
    }  # fmt: skip
    assert plot("A {{gold|6,000}}.") == "A 6,000."  # where nobody counts


@given(st.integers(0, 10**12), st.sampled_from(["formatnum:{}", "gold|{}", "val|{}", "nts|{}", "nowrap|{}", "A$|{}"]))
def test_no_number_is_lost(number: int, form: str) -> None:
    text = plot(f"They find {{{{{form.format(number)}}}}} coins.") or ""
    assert str(number) in text.replace(",", "")


def test_a_crawl_counts_them_in_its_metrics(tmp_path: Path) -> None:
    need_mediawiki()
    box = "{{Infobox film\n| released = {{Film date|1994|5|6}}\n}}\nA film of {{gold|6,000}} coins.\n"
    page = Page("Gold", f"{box}== Plot ==\nThey {{{{riddle}}}} find {{{{formatnum:6000}}}}.\n[[Category:1994 films]]")
    with MediaWiki([page]) as wiki:
        counts = crawl(tmp_path, crawl_params(sources=["wikipedia"], wikipedia__api=wiki.api))
    assert counts["templates"] == {"kept": 1, "lost": 1}
