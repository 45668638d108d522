"""Contrast rows of our own for training: groups named without harm, counter-speech, quotes, idioms, homonyms, fiction.

They teach the model that a group's name, or a frightening word, is no harm by itself. The measuring templates in
fairness.py and the hand-written lines of the tests are others, kept apart.
"""

from __future__ import annotations

from collections.abc import Iterator

from safety.training.data import Row

_GROUPS = {
    "en": (
        "women", "girls", "men", "guys", "gay people", "lesbians", "bisexual people", "trans people", "Muslims", "Jews",
        "Christians", "Hindus", "Black people", "white people", "Asian people", "Latinos", "Mexicans", "immigrants",
        "refugees", "disabled people", "blind people", "old people", "teenagers", "Koreans", "Chinese people", "Indians",
        "Africans", "feminists", "atheists", "mothers", "wives", "girlfriends",
    ),
    "ko": (
        "여자", "여성", "남자", "남성", "게이", "레즈비언", "동성애자", "트랜스젠더", "무슬림", "기독교인", "불교 신자", "흑인", "백인",
        "중국인", "조선족", "일본인", "외국인", "외국인 노동자", "난민", "장애인", "노인", "청소년", "전라도 사람", "경상도 사람", "탈북민",
        "페미니스트", "다문화 가정", "어르신", "엄마들", "아줌마",
    ),
}  # fmt: skip
_TEMPLATES = {
    "en": (
        "{} are people like everyone else.", "Two {} sat next to me on the bus.", "What do {} think about the new law?",
        "I work with a lot of {}.", "The museum has a show about {}.", "Do you know any songs about {}?", "Most {} I know love football.",
        "Stop saying bad things about {}, please.", "It hurts when {} are treated badly.", "That joke about {} was not okay.",
        "There was a documentary about {} on TV.", "{} invented many useful things.", "The doctor said {} need more vitamin D.",
        "Are there any famous {} in chess?", "We should listen to {} more.", "Their team is made up of {}.", "He was rude to {} and I told him so.",
        "My favorite character in the series is friends with {}.", "The law protects {} from discrimination.", "Do {} like spicy food?",
    ),
    "ko": (
        "{}도 우리와 똑같은 사람이야", "버스에서 {} 두 분이 옆에 앉았어", "{} 분들은 어떻게 생각할까?", "회사에 {} 동료가 많아", "{}에 관한 다큐멘터리를 봤어요",
        "{}을 욕하는 건 나쁜 일이야", "{} 비하하는 농담은 하지 말자", "{}를 위한 시설이 더 필요해요", "유명한 {} 가수 알려줘", "{} 전용 주차장이 어디예요?",
        "{} 이야기를 더 들어야 해", "{} 할인 되나요?", "우리 반에 {} 친구가 있어", "{}한테 친절하게 대해 주세요", "{} 요리 배우고 싶어", "{} 패션이 유행이래",
    ),
}  # fmt: skip
_LINES = {
    "en": (
        "that was a terrible movie", "the food was terrible but the staff were nice", "i made a stupid mistake at work", "what a stupid mistake i made",
        "i'm so stupid sometimes", "i felt like an idiot", "my stupid phone broke", "the weather is awful", "i hate spiders", "i hate waking up early",
        "this song is killing me", "she killed it on stage", "i'm dying of laughter", "the bath bomb smells nice", "a photo bomb ruined the picture",
        "the bomb squad came to the airport", "we shot hoops after school", "that's a sick beat", "i nearly died of shame", "the war ended in 1945",
        "the suspect was arrested for murder", "in the book the villain kills the king", "sexism is a serious problem", "racism hurts everyone",
        "hate speech should be reported", "he called me ugly and it hurt", "nobody deserves to be bullied", "i was bullied at school", "the actress looked hot",
        "she is pregnant", "my girlfriend is angry with me", "my wife is a lawyer", "women's rights are human rights", "the women's team won the final",
        "i don't think that's stupid", "you're not stupid", "don't call him an idiot", "it smells terrible in here", "the smell of these flowers is lovely",
        "what a crazy day", "my crazy cat woke me up", "this game is insane", "the dentist appointment was brutal", "i screwed up the test", "that sucks",
        "damn, that's good pizza", "holy cow", "i'm a loser at chess", "the losers of the match congratulated the winners", "monkeys are funny animals",
        "the pig is a clever animal", "our dog is a female, so technically a bitch", "the donkey is also called an ass", "the rooster crowed",
    ),
    "ko": (
        "영화가 진짜 최악이었어", "내가 바보같이 실수했어", "나 진짜 멍청한 짓 했어", "날씨가 미쳤나 봐", "벌레 너무 싫어", "월요일 극혐이야", "웃겨서 죽는 줄",
        "배고파서 죽겠네", "폭탄 맞은 머리 같아", "전쟁은 1953년에 멈췄어", "범인이 살인 혐의로 잡혔대", "소설에서 악당이 왕을 죽여", "차별은 나쁜 거야",
        "혐오 발언은 신고해야 해", "나보고 못생겼다고 해서 상처받았어", "학교에서 왕따를 당했어", "괴롭힘 당하면 어떻게 해야 해?", "여자친구가 화났어", "우리 누나는 변호사야",
        "여자 축구가 결승에 갔대", "넌 멍청하지 않아", "그런 욕 하지 마", "미친 듯이 공부했다", "게임에서 졌어 짜증나", "시험 망했어", "냄새가 지독해",
        "전화번호 좀 알려줘", "콜센터 번호가 뭐야?", "주차장 번호 알려줘", "아 진짜 열받네", "존잘이네", "개귀엽다", "새끼 고양이 너무 귀여워", "돼지고기 먹자", "원숭이 보러 동물원 가자",
    ),
}  # fmt: skip


def contrast_rows() -> Iterator[Row]:
    """All contrast rows, in a fixed order, labelled safe."""
    for lang in ("en", "ko"):
        for template in _TEMPLATES[lang]:
            for group in _GROUPS[lang]:
                yield Row(template.format(group), (), {"unsafe": 0}, lang, f"contrast_groups_{lang}")
        for line in _LINES[lang]:
            yield Row(line, (), {"unsafe": 0}, lang, f"contrast_lines_{lang}")
