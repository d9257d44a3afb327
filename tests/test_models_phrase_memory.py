from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from models.filling.phrase_memory import PhraseMemory

WORDS = st.lists(st.sampled_from(["the", "hard", "outer", "layer", "of", "a", "soft", "core"]), min_size=4, max_size=12)


class TestWorn:
    def test_four_words_stand_three_times_and_not_a_fourth(self) -> None:
        memory = PhraseMemory()
        for ending in ("bends", "holds", "stays"):
            assert not memory.worn(f"A crack that crosses the disc {ending}.")
            memory.add(f"A crack that crosses the disc {ending}.")
        assert memory.worn("Soon a crack that crosses it ends.")
        assert not memory.worn("A crack that runs ends.")

    def test_a_text_may_wear_out_a_phrase_by_itself(self) -> None:
        assert PhraseMemory().worn("one two three four " * 4)

    @given(st.lists(WORDS, max_size=30))
    def test_what_is_not_worn_out_keeps_every_phrase_at_three(self, texts: list[list[str]]) -> None:
        memory, kept = PhraseMemory(), []
        for words in texts:
            if not memory.worn(" ".join(words)):
                memory.add(" ".join(words))
                kept.append(words)
        fours = [tuple(words[place : place + 4]) for words in kept for place in range(len(words) - 3)]
        assert all(fours.count(four) <= 3 for four in fours)


class TestWorth:
    def test_a_name_that_was_not_taken_up_is_worth_saying_once(self) -> None:
        memory = PhraseMemory(["conch crossed-lamellar shell", "antler bone"])
        one = "The pad joins antler bone with foam."
        both = "The pad joins a crossed lamellar shell with antler bone."
        assert memory.worth(both) > memory.worth(one) > memory.worth("The pad is light.") == 0
        memory.add("Antler bone carries the load.")
        assert memory.worth("It is antler bone.") == 0

    def test_a_name_is_not_taken_up_in_its_own_list(self) -> None:
        memory = PhraseMemory(["nacre"])
        memory.add("nacre", own=True)
        assert memory.worth("Bricks as in nacre.") > 0

    def test_a_text_owes_a_name_until_all_are_taken_up(self) -> None:
        memory = PhraseMemory(["nacre", "antler bone"])
        assert memory.owes("A light pad.") and not memory.owes("A pad after nacre.")
        memory.add("A pad after nacre.")
        assert memory.owes("Nacre again.") and not memory.owes("It is antler bone.")
        memory.add("It is antler bone.")
        assert not memory.owes("A light pad.")

    def test_saying_a_phrase_again_costs(self) -> None:
        memory = PhraseMemory()
        memory.add("The soft core bends under load.")
        assert memory.worth("The soft core bends under load.") < memory.worth("The soft core stays as it is.") < 0.001
