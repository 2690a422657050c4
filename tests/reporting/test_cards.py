from __future__ import annotations

import pytest

from jaxllm.errors import UserError
from jaxllm.models.decoder import num_params
from jaxllm.models.zoo import ZOO
from jaxllm.reporting.cards import built_in_cards, read_cards


def test_the_models_that_come_with_the_program_have_the_sizes_of_their_architectures():
    cards = {card.name: card for card in built_in_cards()}
    assert {name: card.parameters for name, card in cards.items()} == {
        name: num_params(entry.config) for name, entry in ZOO.items()
    }
    card = cards["llm-jp-3-13b"]
    assert card.flops == 6 * card.parameters * 2.1e12
    assert cards["llm-jp-3-7.2b"].flops is None


def test_numbers_may_be_written_as_anyone_writes_them(tmp_path):
    path = tmp_path / "cards.yaml"
    path.write_text("models:\n- {name: a, parameters: 13.7e9, tokens: 2e12, training_flops: 1e23}")
    (card,) = read_cards(path)
    assert (card.parameters, card.tokens, card.flops) == (13.7e9, 2e12, 1e23)


@pytest.mark.parametrize(
    "text, reason",
    [
        ("a: 1", "holds no cards"),
        ("models: []", "holds no cards"),
        ("models: [1]", "not a mapping"),
        ("models: [{name: a, size: 3}]", "unknown field 'size'"),
        ("models: [{parameters: 3}]", "name is None"),
        ("models: [{name: a, parameters: many}]", "'many', not a number above 0"),
        ("models: [{name: a, tokens: -1}]", "not a number above 0"),
        ("models: [{name: a, lineage: sft}]", "not a list of mappings"),
        ("models: [{name: a, scores: [{average: 1}]}]", "needs a `suite`"),
        ("models: [{name: a, scores: [{suite: s}]}]", "has no score"),
        ("models: [{name: a, scores: [{suite: s, average: 38.2}]}]", "the scale ends at 1"),
        ("models: [{name: a, scores: [{suite: s, categories: {EL: x}}]}]", "EL is 'x'"),
        ("models: [", "no YAML"),
    ],
)
def test_what_is_wrong_with_a_card_is_said(tmp_path, text, reason):
    path = tmp_path / "cards.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=r"cards\.yaml") as error:
        read_cards(path)
    assert reason in str(error.value)
