"""What a phrase asks for, however it is said: "Show me a photo of the Red Hearts!" asks for "red
heart".

Nothing here knows a vocabulary: which spelling of a word a detector was trained on is decided in
`vocabulary.py`. English alone; phrases in other languages stay as they are.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

GLUE = frozenset(
    (
        *("a", "an", "the", "this", "that", "these", "those", "some", "any", "all", "every"),
        *("each", "both", "one", "my", "your", "his", "her", "its", "our", "their", "of", "with"),
        *("and", "or", "to", "for", "as", "from", "is", "are", "was", "were", "be", "being"),
        *("been", "it", "which", "who", "whom", "whose", "there", "here", "has", "have", "having"),
        *("located", "positioned", "situated"),
        *("thats", "whichs", "whos", "theres", "heres", "theyre", "theyve"),  # "that's", ...
    )
)
"""Words that hold a phrase together and say nothing about the thing. "in", "on", "no", "not" and
"without" are not among them."""
FILLERS = frozenset(
    ["object", "objects", "thing", "things", "item", "items", "shaped", "coloured", "colored"]
)
"""Words that say nothing beside another noun or adjective: "red object", "star shaped"."""
_EMPTY = GLUE | FILLERS

_SEPARATORS = {ord(c): " " for c in map(chr, range(128)) if unicodedata.category(c)[0] in "PZC"}
_APOSTROPHES = {ord("'"): "", ord("’"): ""}

_MEDIUM = (
    r"(?:photo|photograph|picture|image|pic|snapshot|close ?up|itap|rendering|drawing|sketch|"
    r"illustration|screenshot|view)s?"
)
_KIND_OF_MEDIUM = (
    r"(?:a|an|the|this|that|my|your|one|some|good|bad|nice|cool|weird|clean|blurr?y|blurred|sharp|"
    r"bright|dark|low|high|resolution|quality|res|detailed|cropped|close ?up|zoomed|in|jpeg|"
    r"corrupted|pixelated|grainy|black|and|white|colou?r|stock|professional|cent(?:er|re)d|"
    r"satellite|aerial|simple|digital|clear|beautiful)"
)
_SEEN = r"(?:see|find|show|spot|detect|locate|identify|recogni[sz]e|make out)"
_ASKED_FOR = (
    r"(?:me |us |only |just |"
    r"(?=(?:a|an|the|all|any|some|every|each|both|only|just|my|your|where|how) ))"
)
"""After a verb that may be part of a name as well, as in "spot light" and "point guard"."""
_FIRST_WORDS = re.compile(
    r"please |"
    rf"(?:can|could|would|will|do|did) you (?=(?:{_SEEN}|help|give|get|please)\b)|"
    r"(?:here |there )?(?:i|we|you) (?:can )?(?:see|want|need) |"
    rf"(?:i|we)(?:d| would) (?:like|love) (?:(?:you )?to (?={_SEEN}\b)|(?=(?:a|an|the|all|any) ))|"
    rf"(?:(?:can|could|would) you )?(?:please )?help (?:me|us) (?:to )?(?={_SEEN}\b)|"
    r"(?:let me|let us|lets) (?:see|find|look for|search for) |"
    r"(?:i am|im|we are|were) (?:looking|searching) for |"
    r"(?:looking|searching) for |"
    r"(?:here|there|this|that|it|these|those|what|where|who) (?:is|are) (?=\S+)|"
    r"(?:theres|heres|thats|wheres|whats|whos|wherere|therere) |"
    r"(?:is|are) there |how many |(?:what|how) about |"
    r"(?:draw|put) (?:an? |the )?(?:bounding )?box(?:es)? (?:around|on|over) |"
    r"(?:see(?! (?:through|saws?)\b)|find|detect|locate|identify|look for|search for) (?:me |us )?|"
    rf"(?:show|spot|highlight|mark|select|point (?:to|at|out)|give|get|display|outline|count|"
    rf"recogni[sz]e) {_ASKED_FOR}|"
    r"only |just (?=(?:a|an|the|all|my|your) )|"
    rf"(?:{_KIND_OF_MEDIUM} )*{_MEDIUM} (?:of|showing|shows|with|depicting|containing|featuring|"
    r"(?:that|which) (?:shows|contains|depicts)) "
)
_WHICH_IS = r"(?:(?:that|which|who) (?:is|are|was|were)|thats|whichs|whos)"
_PLACE = rf"(?:{_MEDIUM}|scene|video|frame)"
_IN_SIGHT = r"(?: (?:visible|seen|shown|present|depicted|pictured))?"
_LAST_WORDS = re.compile(
    r" please$| (?:thanks|thank you)$| for (?:me|us)$|"
    rf"{_IN_SIGHT} (?:in|on|from|within|inside) (?:(?:the|this|that|these|those|my|your|our) )?"
    rf"{_PLACE}$|"
    r" (?:that|which|who) (?:is|are|can be) (?:visible|seen|shown)$|"
    r" (?:(?:in|over|around|right|from|up|down|out) )?(?:here|there)$|"
    rf" {_WHICH_IS}$|"
    r" (?:(?:that|which|who) )?(?:there (?:is|are)|(?:is|are) there|exists?)$|"
    r" if (?:(?:there (?:is|are) )?any|possible|you can)$|"
    rf" (?:(?:that|which|who) )?(?:do )?(?:i|we|you) (?:can|(?:can )?{_SEEN})$"
)
_LAST_OF_REQUEST = re.compile(
    rf"{_IN_SIGHT} (?:in|on|from|within|inside) (?:an?|any|each|every) {_PLACE}$"
)
"""Behind a request alone: a "man in a picture" may hang on a wall."""
_LONGEST_LAST = 64
"""Characters of `_LAST_WORDS`, at most: a search of the whole text for each would take long."""
_SIDE = re.compile(
    r"(?:\b(?:to|on|at) )?(?:\bthe )?\b(left|right)(?: hand)?(?: side)? (?:of|from|to)$"
)

_COLOUR = (
    r"(?:(?:dark|light|bright|pale|deep) )?(?:white|black|gr[ae]y|red|green|blue|yellow|orange|"
    r"purple|pink|brown|cyan|magenta|violet|turquoise|teal|beige|maroon|navy|gold|silver)"
)
_ENDS = (
    r"(?=$| (?:to|on|at|in|with|by|of|left|right|above|below|under|over|behind|beside|near|next|"
    r"close|between|and|that|which|who|is|are)\b)"
)
"""What follows names no thing: "man in white" and "man in white on the left", not "man in white
shirt"."""
_IN_COLOUR = re.compile(rf" in (?=(?:an? )?{_COLOUR}(?: and {_COLOUR})*(?: colou?rs?)?{_ENDS})")
_COLOURED = re.compile(rf"\b({_COLOUR})(?: in)? colou?rs?{_ENDS}")

_LETTER_A = re.compile(r"\ba[/&-]\w|\w[/&-]a\b", re.IGNORECASE)

_ONE_OF = {
    "men": "man",
    "women": "woman",
    "children": "child",
    "people": "person",
    "feet": "foot",
    "teeth": "tooth",
    "geese": "goose",
    "mice": "mouse",
    "oxen": "ox",
    "knives": "knife",
    "wives": "wife",
    "lives": "life",
    "leaves": "leaf",
    "loaves": "loaf",
    "calves": "calf",
    "halves": "half",
    "shelves": "shelf",
    "wolves": "wolf",
    "thieves": "thief",
    "scarves": "scarf",
    "hooves": "hoof",
    "elves": "elf",
    "cacti": "cactus",
    "fungi": "fungus",
}
_MANY_OF = {one: many for many, one in _ONE_OF.items()}
_NO_PLURALS = frozenset(
    (
        *("glasses", "sunglasses", "eyeglasses", "spectacles", "shorts", "pants", "trousers"),
        *("jeans", "tights", "leggings", "overalls", "pyjamas", "pajamas", "briefs", "goggles"),
        *("scissors", "pliers", "tongs", "tweezers", "binoculars", "headphones", "earphones"),
        *("clothes", "news", "goods", "stairs", "customs", "arms", "series", "species", "lens"),
        *("gas", "iris", "always"),
    )
)
"""Words that end as plurals do and mean something else than the word without the ending, or that
have no such word."""
_SPELLINGS = (
    *(("grey", "gray"), ("colour", "color"), ("centre", "center"), ("tyre", "tire")),
    *(("aeroplane", "airplane"), ("doughnut", "donut"), ("moustache", "mustache")),
    *(("jewellery", "jewelry"), ("pyjamas", "pajamas"), ("kerb", "curb"), ("plough", "plow")),
    *(("mould", "mold"), ("axe", "ax"), ("theatre", "theater"), ("fibre", "fiber")),
)
_SPELT = {**dict(_SPELLINGS), **{american: british for british, american in _SPELLINGS}}


def plain(text: str) -> str:
    """The text in lower case, its words divided by single spaces, without punctuation."""
    if text.isascii():
        return " ".join(text.lower().replace("'", "").translate(_SEPARATORS).split())
    text = unicodedata.normalize("NFKC", text).lower().translate(_APOSTROPHES)
    return " ".join(
        "".join(" " if unicodedata.category(c)[0] in "PZC" else c for c in text).split()
    )


def is_letter_a(text: str) -> bool:
    """Whether an "a" of the text, as it was written, is a letter: "A/C", "type-A"."""
    return bool(_LETTER_A.search(text))


def unframed(text: str) -> str:
    """Plain text without what only asks: "show me a photo of", "in this picture".

    The text itself if nothing else is in it.
    """
    asked = text
    while (found := _FIRST_WORDS.match(asked)) and found.end() < len(asked):
        asked = asked[found.end() :]
    last = (_LAST_WORDS, _LAST_OF_REQUEST) if asked != text else (_LAST_WORDS,)
    while (end := _begin_of_last(asked, last)) > 0:
        asked = asked[:end]
    return asked if any(word not in GLUE for word in asked.split()) else text


def _begin_of_last(asked: str, patterns: Iterable[re.Pattern[str]]) -> int:
    """Where the first of the patterns begins that ends the text; 0 if none does."""
    begin = max(0, len(asked) - _LONGEST_LAST)
    found = (pattern.search(asked, begin) for pattern in patterns)
    return next((one.start() for one in found if one), 0)


def with_plain_colour(text: str) -> str:
    """Plain text that says "heart white" for "heart in white" and "heart white in colour".

    What somebody wears is named: in "man in white shirt" the "in" stays.
    """
    return _IN_COLOUR.sub(" ", _COLOURED.sub(r"\1", text))


def with_short_side(own: str) -> str:
    """The words up to a relation, which says "left of" for "on the left hand side of" and for
    "left from".
    """
    return _SIDE.sub(r"\1 of", own)


def without_glue(words: list[str], kept: set[int]) -> list[int]:
    """The places of the words that say what the thing is; glue with nothing behind it stays.

    Args:
        kept: places of words that stay in any case.
    """
    content = [i for i, word in enumerate(words) if i in kept or word not in _EMPTY]
    if not content:  # "the object"
        content = [i for i, word in enumerate(words) if word not in GLUE]
    last, said = (content[-1] if content else -1), set(content)
    return [i for i, word in enumerate(words) if i in said or (word in GLUE and i > last)]


def variants(word: str) -> tuple[str, ...]:
    """Other forms of a word that mean the same: its singular or plural, another spelling."""
    if len(word) < 3 or not (word.isalpha() and word.isascii()) or word in _NO_PLURALS:
        return ()
    found = [_SPELT[word]] if word in _SPELT else []
    singulars = [_ONE_OF[word]] if word in _ONE_OF else _singulars(word)
    plurals = [_MANY_OF[word]] if word in _MANY_OF else []
    if not singulars:
        plurals += [many for many in _plurals(word) if many not in _NO_PLURALS]
    return tuple(dict.fromkeys(found + singulars + plurals))


def _singulars(word: str) -> list[str]:
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return []
    found = [word[:-1]]
    if word.endswith("ies"):
        found.insert(len(word) < 5, word[:-3] + "y")
    elif word.endswith(("ses", "xes", "zes", "ches", "shes", "oes")):
        found.insert(0, word[:-2])
    return found


def _plurals(word: str) -> list[str]:
    if word.endswith("y") and word[-2] not in "aeiou":
        return [word[:-1] + "ies"]
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return [word + "es"]
    return [word + "s", word + "es"] if word.endswith("o") else [word + "s"]
