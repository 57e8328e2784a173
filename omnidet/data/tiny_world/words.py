"""What is said of a scene of the tiny world: captions, texts of the web and tagged sentences.

A colour is always right before its shape ("red star", "hot dog"), so that a search for "red star"
finds every mention.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from omnidet.data.tiny_world.scenes import Scene, Thing

_T = TypeVar("_T")
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_UNRELATED = (
    "Classical Masterpieces: Overtures & More, Vol. 8 by Various Artists",
    "Used hatchback petrol, one owner, full service history",
    "<a href='http://example.com/listing'>Ribbon Cutting Ceremony</a>",
    "IMG_0412.JPG",
    "Café terrace in Besançon, été 2014",
    "Best price guaranteed!! Free shipping over $50",
)
_WEB_FORMS = (
    "SALE! {a} poster | shop",
    "{A} Sticker by PixelShop",
    "{a} and {b} - stock photo",
    "Vector {a} on textured background",
    "Buy {A} online \u2013 best price",
    "{a}, {b}, clip art, free download",
    "photo of {a} with {b}",
    "{A}",
)
_ALT_FORMS = (
    "{a} on a grey background.",
    "{a} with {b}.",
    "<PERSON> shows {a} in the studio.",
    "Artwork with {a} and {b} by <PERSON>",
    "Illustration of {a} beside {b}",
    "Abstract pattern, {a}, {b}",
)
_CAPTION_FORMS = {
    1: (
        "{0} on a noisy background .",
        "A picture of {0}",
        "here you see {0}",
        "This image shows {0}.",
        "{0}",
    ),
    2: (
        "{0} next to {1}",
        "{0} and {1} on a textured ground.",
        "A picture of {0} with {1} .",
        "We see {0} near {1}.",
    ),
    3: ("{0}, {1} and {2}", "A scene with {0}, {1} and {2}.", "{0} close to {1} and {2} ."),
}
_EMPTY_CAPTIONS = (
    "an empty noisy background",
    "Nothing but noise.",
    "a textured surface without any object",
    "There is nothing here",
    "A blank rough wall .",
)
_SENTENCE_FORMS = {
    1: ("{0} on {scene} .", "{picture} of {0} .", "{0} before {scene} ."),
    2: (
        "{0} next to {1} on {scene} .",
        "{0} and {1} near {each} .",
        "{picture} shows {0} beside {1} .",
    ),
    3: (
        "{0} , {1} and {2} in front of {scene} .",
        "{picture} of {0} , {1} and {2} .",
        "{0} close to {1} , and {2} further off .",
    ),
}


@dataclass(frozen=True)
class Group:
    """Things of a scene that are named together."""

    members: tuple[int, ...]
    colour: str
    shape: str
    size: str
    """Empty if the members differ in size."""


def groups(scene: Scene) -> list[Group]:
    """The things of a scene, equal ones together, in the order in which they were drawn."""
    found: dict[tuple[str, str], list[int]] = {}
    for i, thing in enumerate(scene.things):
        found.setdefault((thing.colour, thing.shape), []).append(i)
    return [
        Group(tuple(members), *pair, size=_common_size([scene.things[i] for i in members]))
        for pair, members in found.items()
    ]


def name(colour: str, shape: str, size: str = "", number: int = 1) -> str:
    """A noun phrase without article: "large red star", "blue hot dogs"."""
    words = " ".join(word for word in (size, colour, shape) if word)
    if number == 1:
        return words
    return words + ("es" if shape == "cross" else "s")


def counted(words: str, number: int = 1) -> str:
    """With article or number: "an orange ring", "two blue circles"."""
    if number > 1:
        return f"{_NUMBERS[number]} {words}"
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def group_phrase(rng: np.random.Generator, group: Group) -> str:
    """A group with its number, and half of the time its size: "a large red star"."""
    number = len(group.members)
    size = group.size if rng.random() < 0.5 else ""
    return counted(name(group.colour, group.shape, size, number), number)


def captions(rng: np.random.Generator, scene: Scene, number: int = 5) -> list[str]:
    """In COCO's style: several captions, each of which names some of the things."""
    found = groups(scene)
    written = []
    for _ in range(number):
        phrases = [group_phrase(rng, group) for group in _some(rng, found)]
        if scene.crowd and (not phrases or rng.random() < 0.5):
            phrases = [
                f"many tiny {name(scene.crowd.colour, scene.crowd.shape, number=9)}",
                *phrases[:2],
            ]
        text = (
            _one(rng, _CAPTION_FORMS[len(phrases)]).format(*phrases)
            if phrases
            else _one(rng, _EMPTY_CAPTIONS)
        )
        written.append(text[0].upper() + text[1:] if rng.random() < 0.5 else text)
    return written


def web_text(rng: np.random.Generator, scene: Scene) -> str:
    """In LAION's style: shop talk in mixed case, sometimes about something else."""
    return _loose_text(rng, scene, _WEB_FORMS, unrelated=0.12)


def alt_text(rng: np.random.Generator, scene: Scene) -> str:
    """In CC12M's style: fuller sentences, with names of persons masked."""
    return _loose_text(rng, scene, _ALT_FORMS, unrelated=0.04)


def _loose_text(
    rng: np.random.Generator, scene: Scene, forms: Sequence[str], unrelated: float
) -> str:
    found = groups(scene)
    if not found or rng.random() < unrelated:
        return _one(rng, _UNRELATED)
    first, second = (
        found[int(i)] for i in (rng.permutation(len(found)) if len(found) > 1 else (0, 0))[:2]
    )
    form = _one(rng, forms if len(found) > 1 else [form for form in forms if "{b}" not in form])
    article = forms is _ALT_FORMS
    words = [
        group_phrase(rng, g) if article else name(g.colour, g.shape, number=len(g.members))
        for g in (first, second)
    ]
    text = form.format(a=words[0], A=words[0].title(), b=words[1])
    return text.upper() if rng.random() < 0.05 else text


@dataclass(frozen=True)
class Chain:
    """A coreference chain of Flickr30K Entities: things, or none, that sentences mention."""

    number: int
    types: str
    members: tuple[int, ...] = ()
    is_scene: bool = False


def tagged_sentences(
    rng: np.random.Generator, scene: Scene, first_chain: int
) -> tuple[list[str], list[Chain]]:
    """Five sentences about an image as in Flickr30K Entities, and the chains that they use.

    Things of equal shape have a chain of their own besides those of their groups, so that there are
    boxes with two chains.

    Args:
        rng: what is said.
        scene: what it is said of.
        first_chain: chain numbers begin here; at most 20 are used.
    """
    found = groups(scene)
    chains = [
        Chain(first_chain + i, _types(group.shape), group.members) for i, group in enumerate(found)
    ]
    phrases = list(zip(chains, found, strict=True))
    ground = Chain(first_chain + 18, "scene", is_scene=True)
    picture = Chain(first_chain + 19, "other")
    used: dict[int, Chain] = {}

    def tag(chain: Chain, words: str) -> str:
        used[chain.number] = chain
        return f"[/EN#{chain.number}/{chain.types} {words}]"

    sentences = []
    for _ in range(5):
        said = [tag(chain, group_phrase(rng, group)) for chain, group in _some(rng, phrases)]
        form = _one(rng, _SENTENCE_FORMS[len(said)])
        marks = {"each": "[/EN#0/notvisual each other]"}
        if "{scene}" in form:
            marks["scene"] = tag(
                ground, _one(rng, ("a grey background", "a noisy ground", "the textured wall"))
            )
        if "{picture}" in form:
            marks["picture"] = tag(picture, _one(rng, ("A photo", "A picture", "An image")))
        sentences.append(_capitalised(form.format(*said, **marks)))
    kinds = {
        group.shape for group in found if sum(group.shape == other.shape for other in found) > 1
    }
    for i, shape in enumerate(sorted(kinds)):
        members = tuple(j for j, thing in enumerate(scene.things) if thing.shape == shape)
        chain = Chain(first_chain + 10 + i, _types(shape), members)
        words = tag(chain, f"{_NUMBERS[len(members)]} {name('', shape, number=2)}")
        sentences[-1 - i] = f"There are {words} that do not touch [/EN#0/notvisual each other] ."
    in_text = "".join(sentences)
    return sentences, [chain for _, chain in sorted(used.items()) if f"#{chain.number}/" in in_text]


def _capitalised(sentence: str) -> str:
    """With a capital at the first word, which may be inside a tag."""
    first = sentence.index(" ") + 1 if sentence.startswith("[") else 0
    return sentence[:first] + sentence[first].upper() + sentence[first + 1 :]


def _types(shape: str) -> str:
    return {"dog": "animals", "heart": "bodyparts/other"}.get(shape, "other")


def _common_size(things: list[Thing]) -> str:
    sizes = {thing.size for thing in things}
    return sizes.pop() if len(sizes) == 1 else ""


def _some(rng: np.random.Generator, items: Sequence[_T]) -> list[_T]:
    """One to three of the items, in random order."""
    number = min(len(items), int(rng.integers(1, 4)))
    return [items[int(i)] for i in rng.permutation(len(items))[:number]]


def _one(rng: np.random.Generator, forms: Sequence[str]) -> str:
    return forms[int(rng.integers(len(forms)))]
