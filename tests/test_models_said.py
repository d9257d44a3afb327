from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from models.filling.said import Said

WORDS = st.lists(st.sampled_from(["the", "hard", "outer", "layer", "of", "a", "soft", "core"]), min_size=4, max_size=12)


class TestWorn:
    def test_four_words_stand_three_times_and_not_a_fourth(self) -> None:
        said = Said()
        for ending in ("bends", "holds", "stays"):
            assert not said.worn(f"A crack that crosses the disc {ending}.")
            said.add(f"A crack that crosses the disc {ending}.")
        assert said.worn("Soon a crack that crosses it ends.")
        assert not said.worn("A crack that runs ends.")

    def test_a_text_may_wear_out_a_phrase_by_itself(self) -> None:
        assert Said().worn("one two three four " * 4)

    @given(st.lists(WORDS, max_size=30))
    def test_what_is_not_worn_out_keeps_every_phrase_at_three(self, texts: list[list[str]]) -> None:
        said, kept = Said(), []
        for words in texts:
            if not said.worn(" ".join(words)):
                said.add(" ".join(words))
                kept.append(words)
        fours = [tuple(words[place : place + 4]) for words in kept for place in range(len(words) - 3)]
        assert all(fours.count(four) <= 3 for four in fours)


class TestWorth:
    def test_a_name_that_was_not_taken_up_is_worth_saying_once(self) -> None:
        said = Said(["conch crossed-lamellar shell", "antler bone"])
        both = "The pad joins a crossed lamellar shell with antler bone."
        assert (
            said.worth(both) > said.worth("The pad joins antler bone with foam.") > said.worth("The pad is light.") == 0
        )
        said.add("Antler bone carries the load.")
        assert said.worth("It is antler bone.") == 0

    def test_a_name_is_not_taken_up_in_its_own_list(self) -> None:
        said = Said(["nacre"])
        said.add("nacre", own=True)
        assert said.worth("Bricks as in nacre.") > 0

    def test_a_text_owes_a_name_until_all_are_taken_up(self) -> None:
        said = Said(["nacre", "antler bone"])
        assert said.owes("A light pad.") and not said.owes("A pad after nacre.")
        said.add("A pad after nacre.")
        assert said.owes("Nacre again.") and not said.owes("It is antler bone.")
        said.add("It is antler bone.")
        assert not said.owes("A light pad.")

    def test_saying_a_phrase_again_costs(self) -> None:
        said = Said()
        said.add("The soft core bends under load.")
        assert said.worth("The soft core bends under load.") < said.worth("The soft core stays as it is.") < 0.001
