"""What is said to people in danger, by kind of danger and language: words and numbers only, no"
" decision and no code.

Numbers as their services publish them. US and Canada: 988 Lifeline; US: National Domestic Violence Hotline
1-800-799-7233, Childhelp 1-800-422-4453, Poison Help 1-800-222-1222. UK and Ireland: Samaritans 116 123; UK: National
Domestic Abuse Helpline 0808 2000 247, Childline 0800 1111, NHS 111. Australia: Lifeline 13 11 14, 1800RESPECT
1800 737 732. Korea: suicide prevention line 109, youth line 1388, mental health crisis line 1577-0199, women's
emergency line 1366, ambulance and medical advice 119, police 112. Spain 024, France 3114, Germany TelefonSeelsorge
0800 111 0 111, Austria 142, Switzerland 143, Netherlands 113, Belgium 1813, Poland 116 123 and 116 111, Ukraine 7333,
Brazil CVV 188, Japan Inochi no Denwa 0120-783-556, Taiwan 1925, mainland China 12356, India Tele-MANAS 14416. Every
other country: findahelpline.com and the emergency number.
"""

from __future__ import annotations

OPENINGS = {
    "selfharm": {
        "en": (
            "I'm really glad you told me, and I'm taking it seriously.",
            "That sounds very painful, and I'm sorry you are carrying it.",
            "Thank you for saying it out loud. This deserves help from a person.",
        ),
        "ko": (
            "말해 줘서 정말 고마워요. 그 말을 가볍게 듣지 않을게요.",
            "많이 힘들었겠어요. 혼자 견디지 않아도 돼요.",
            "용기 내서 이야기해 줘서 고마워요. 지금 마음을 사람과 나눌 수 있으면 좋겠어요.",
        ),
    },
    "in_danger": {
        "en": (
            "I'm sorry this is happening. Nobody deserves to be treated like that, and it isn't your fault.",
            "Thank you for telling me. Nobody has the right to do that, and there are people who can help.",
            "That sounds frightening, and I'm taking it seriously. Being safe comes first.",
        ),
        "ko": (
            "말해 줘서 고마워요. 누구도 그런 일을 당해서는 안 돼요.",
            "많이 무서웠겠어요. 당신 잘못이 아니에요.",
            "그 말을 가볍게 듣지 않을게요. 무엇보다 안전이 먼저예요.",
        ),
    },
    "emergency": {
        "en": (
            "That could be an emergency, so please don't wait for me.",
            "Please take that seriously right now: it may be an emergency.",
            "This sounds urgent, and I'm not the one to judge it.",
        ),
        "ko": (
            "응급 상황일 수 있어요. 제 대답을 기다리지 마세요.",
            "지금 바로 도움이 필요한 상황일 수 있어요.",
            "급한 상황처럼 들려요. 저보다 먼저 사람에게 알려 주세요.",
        ),
    },
}
RESOURCES = {
    "selfharm": {
        "en": (
            "I'm a chat program and not enough for this, but people are there right now: in the US"
            " and Canada call or"
            " text 988; in the UK and Ireland call Samaritans on 116 123; in Australia call Lifeline on 13 11 14;"
            " elsewhere findahelpline.com lists a line near you. They also advise people who worry"
            " about somebody else."
            " If it may happen soon, or something was taken or done already, please call your emergency number"
            " (911, 999, 112) and don't stay alone with it. I'm still here to talk."
        ),
        "ko": (
            "저는 대화 프로그램이라 충분한 도움이 되지 못하지만, 지금 바로 이야기를 들어 줄 사람들이 있어요:"
            " 자살예방 상담전화 109, 청소년 상담전화 1388, 정신건강 위기상담 1577-0199 (모두 24시간)."
            " 걱정되는 사람이 있을 때 대신 전화해도 돼요. 지금 위험하거나 이미 약을 먹었거나 다쳤다면 119나 112에"
            " 바로 전화하고, 혼자 있지 말고 가까운 사람 곁으로 가 주세요. 저도 여기서 계속 들을게요."
        ),
    },
    "in_danger": {
        "en": (
            "I'm a chat program and can't step in, but others can: if it is happening now, or may"
            " happen tonight, call"
            " the police (911, 999, 112, in Australia 000) or get to somebody near you. In the US"
            " the Domestic Violence"
            " Hotline is 1-800-799-7233 and Childhelp 1-800-422-4453; in the UK call 0808 2000 247, or Childline on"
            " 0800 1111; in Australia 1800 737 732; elsewhere findahelpline.com lists help. If you"
            " are under 18, please"
            " tell an adult you trust, and send nobody pictures. I'm still here to talk."
        ),
        "ko": (
            "저는 대화 프로그램이라 직접 막아 줄 수는 없지만 도와줄 사람들이 있어요: 지금 위험하면"
            " 112(경찰)에, 다쳤다면"
            " 119에 바로 전화하세요. 말하기 어려우면 112에 문자로 알려도 돼요. 가정폭력·성폭력·스토"
            "킹은 여성긴급전화"
            " 1366, 청소년은 1388, 아동학대는 112에서 24시간 도와줘요. 우선 안전한 곳이나 가까운 사"
            "람 곁으로 가 주세요."
            " 저도 여기서 계속 들을게요."
        ),
    },
    "emergency": {
        "en": (
            "Call your emergency number now: 911 in the US and Canada, 999 in the UK, 112 in Europe"
            " and on most mobile"
            " phones, 000 in Australia, 119 in Korea and Japan. They will tell you what to do until help comes. If"
            " somebody swallowed something, US Poison Help is 1-800-222-1222. Not sure? Call anyway,"
            " or ring a doctor's"
            " urgent line (111 in the UK). I'm a chat program and can't judge it, but I'm here when"
            " it is in safe hands."
        ),
        "ko": (
            "지금 바로 119에 전화해서 증상을 말해 주세요. 구급대가 올 때까지 무엇을 해야 하는지도 전화로 알려 줘요."
            " 응급인지 헷갈려도 119에서 의료 상담을 받을 수 있어요. 저는 대화 프로그램이라 상태를 판단할 수 없지만,"
            " 안전해지면 다시 이야기해 주세요."
        ),
    },
}
# Languages that the program does not speak: one paragraph each, for people at risk and for every other danger.
ELSEWHERE = {
    "selfharm": {
        "es": "Siento mucho que estés pasando por esto, y me lo tomo en serio. Por favor, habla"
        " ahora con una persona:"
        " en España llama al 024, en EE. UU. al 988 (opción 2); en otros países, findahelpline.com indica una línea"
        " cerca de ti. Si hay peligro inmediato, llama al 112 o al 911.",
        "pt": "Sinto muito que você esteja passando por isso, e levo a sério. Por favor, fale agora com uma pessoa:"
        " no Brasil ligue 188 (CVV); em outros países, findahelpline.com mostra uma linha perto de"
        " você. Se o perigo"
        " for imediato, ligue 192 (Brasil) ou 112.",
        "fr": "Je suis vraiment désolé que tu traverses cela, et je le prends au sérieux. S'il te plaît, parle"
        " maintenant à quelqu'un : en France, appelle le 3114 ; ailleurs, findahelpline.com indique une ligne"
        " d'écoute. En cas de danger immédiat, appelle le 112 ou le 15.",
        "de": "Es tut mir sehr leid, dass es dir so geht, und ich nehme es ernst. Bitte sprich jetzt"
        " mit einem Menschen:"
        " in Deutschland TelefonSeelsorge 0800 111 0 111, in Österreich 142, in der Schweiz 143; anderswo nennt"
        " findahelpline.com eine Nummer. Bei unmittelbarer Gefahr wähle 112.",
        "it": "Mi dispiace molto che tu stia così, e lo prendo sul serio. Per favore, parla adesso con una persona:"
        " findahelpline.com indica una linea di ascolto vicino a te. Se il pericolo è immediato, chiama il 112.",
        "nl": "Wat erg dat je je zo voelt; ik neem het serieus. Praat nu met iemand: in Nederland"
        " bel 113, in België"
        " 1813; elders vind je op findahelpline.com een hulplijn. Bel bij direct gevaar 112.",
        "pl": "Bardzo mi przykro, że tak się czujesz, i traktuję to poważnie. Porozmawiaj teraz z kimś: w Polsce"
        " dzwoń pod 116 123 lub 116 111 (młodzież); gdzie indziej numer podaje findahelpline.com. W nagłym"
        " niebezpieczeństwie dzwoń pod 112.",
        "tr": "Böyle hissetmene çok üzüldüm ve bunu ciddiye alıyorum. Lütfen şimdi bir insanla"
        " konuş: findahelpline.com"
        " sana yakın bir yardım hattı gösterir. Acil tehlikede 112'yi ara.",
        "ru": "Мне очень жаль, что вам так тяжело, и я отношусь к этому серьёзно. Пожалуйста, поговорите сейчас с"
        " человеком: findahelpline.com подскажет линию помощи в вашей стране. При непосредственной опасности"
        " звоните 112.",
        "uk": "Мені дуже шкода, що вам так важко, і я ставлюся до цього серйозно. Будь ласка, поговоріть зараз із"
        " людиною: в Україні Lifeline 7333, в інших країнах findahelpline.com. У разі безпосередньої небезпеки"
        " дзвоніть 112.",
        "ja": "とてもつらいのですね。話してくれてありがとう、真剣に受け止めています。どうか今、人に話してください。"
        "日本では「いのちの電話」0120-783-556、ほかの国では findahelpline.com で窓口を探せます。"
        "今すぐ危険なときは119か110に電話してください。",
        "zh": "听到你这么难受，我很难过，也很认真地看待。请现在就和一个人谈谈：台湾请拨1925，中国大陆请拨12356，"
        "其他地方可在 findahelpline.com 找到求助热线。如果马上有危险，请拨打当地急救电话（中国大"
        "陆120或110，台湾119）。",
        "ar": "يؤسفني جدًا ما تمرّ به، وآخذه على محمل الجد. أرجوك تحدّث الآن مع إنسان: يمكنك أن تجد"
        " خط مساعدة قريبًا منك على"
        " findahelpline.com. وإذا كان الخطر وشيكًا فاتصل برقم الطوارئ في بلدك (112 أو 911).",
        "hi": "मुझे बहुत अफ़सोस है कि आप इससे गुज़र रहे हैं, और मैं इसे गंभीरता से ले रहा हूँ। कृपया"
        " अभी किसी इंसान से बात करें: भारत में"
        " टेली-मानस 14416; दूसरे देशों में findahelpline.com देखें। तुरंत ख़तरा हो तो 112 पर फ़ोन करें।",
    },
    "emergency": {
        "es": "Puede ser una emergencia: llama ahora mismo al 112 (911 en gran parte de América) o a"
        " la policía. Solo"
        " soy un programa y no puedo valorarlo.",
        "pt": "Pode ser uma emergência: ligue agora para 112 (no Brasil 192, polícia 190). Sou só um programa e não"
        " posso avaliar isso.",
        "fr": "C'est peut-être une urgence : appelle tout de suite le 112 (en France 15, police 17)."
        " Je ne suis qu'un"
        " programme et je ne peux pas en juger.",
        "de": "Das kann ein Notfall sein: Ruf jetzt 112 an, die Polizei unter 110. Ich bin nur ein"
        " Programm und kann"
        " das nicht beurteilen.",
        "it": "Può essere un'emergenza: chiama subito il 112. Sono solo un programma e non posso valutarlo.",
        "nl": "Dit kan een noodgeval zijn: bel nu 112. Ik ben maar een programma en kan dit niet beoordelen.",
        "pl": "To może być nagły wypadek: zadzwoń teraz pod 112. Jestem tylko programem i nie mogę tego ocenić.",
        "tr": "Bu acil bir durum olabilir: hemen 112'yi ara. Ben yalnızca bir programım, bunu değerlendiremem.",
        "ru": "Это может быть опасно для жизни: позвоните сейчас по номеру 112. Я всего лишь"
        " программа и не могу об этом"
        " судить.",
        "uk": "Це може бути небезпечно для життя: зателефонуйте зараз 112 (швидка 103). Я лише"
        " програма і не можу про це"
        " судити.",
        "ja": "緊急の状態かもしれません。今すぐ119（警察は110）に電話してください。私はプログラムな"
        "ので判断できません。",
        "zh": "这可能是紧急情况：请马上拨打急救电话（中国大陆120，台湾和香港请拨119或999），遇到暴力"
        "请报警（110）。我只是程序，无法判断。",
        "ar": "قد تكون هذه حالة طارئة: اتصل الآن برقم الطوارئ في بلدك (112 أو 911). أنا مجرد برنامج"
        " ولا أستطيع تقدير ذلك.",
        "hi": "यह आपात स्थिति हो सकती है: अभी 112 पर फ़ोन करें। मैं केवल एक प्रोग्राम हूँ और इसका आकलन नहीं कर सकता।",
    },
}
# For after the line that the program does not speak a language: what nobody reads may come from somebody in need.
POINTERS = {
    "en": "If you are in danger or unwell, please call your emergency number; findahelpline.com lists help lines.",
    "ko": "급하거나 아프거나 많이 힘들다면 기다리지 말고 전화하세요: 119 응급, 112 경찰, 109 자살예방 상담(24시간).",
    "ja": "危険なときや具合が悪いときは、119（警察は110）に電話してください。"
    "つらいときは「いのちの電話」0120-783-556へ。",
    "zh": "如果你有危险或身体不适，请拨打当地急救电话；心里难受时可在 findahelpline.com 找到求助热线。",
    "ru": "Если вам плохо или вы в опасности, звоните 112; линии помощи: findahelpline.com.",
    "el": "Αν κινδυνεύεις ή δεν είσαι καλά, κάλεσε το 112· γραμμές βοήθειας: findahelpline.com.",
    "ar": "إذا كنت في خطر أو متعبًا فاتصل برقم الطوارئ في بلدك؛ خطوط المساعدة على findahelpline.com.",
    "he": "אם יש סכנה או שאינך מרגיש טוב, התקשר למספר החירום (100, 101); קווי עזרה: findahelpline.com.",
    "th": "ถ้าคุณตกอยู่ในอันตรายหรือไม่สบาย โปรดโทรเบอร์ฉุกเฉิน สายช่วยเหลือดูได้ที่ findahelpline.com",
    "hi": "अगर आप ख़तरे में हैं या तबीयत ठीक नहीं है, तो 112 पर फ़ोन करें; सहायता लाइनें: findahelpline.com.",
    "es": "Si estás en peligro o te encuentras mal, llama al 112 o al 911; líneas de ayuda: findahelpline.com.",
    "fr": "Si tu es en danger ou que tu vas mal, appelle le 112 ; lignes d'écoute : findahelpline.com.",
    "de": "Wenn du in Gefahr bist oder es dir schlecht geht, wähle 112; Hilfetelefone nennt findahelpline.com.",
    "it": "Se sei in pericolo o stai male, chiama il 112; linee di aiuto: findahelpline.com.",
    "pt": "Se você está em perigo ou passando mal, ligue 112 (Brasil: 192); linhas de ajuda: findahelpline.com.",
    "nl": "Als je in gevaar bent of je niet goed voelt, bel 112; hulplijnen staan op findahelpline.com.",
}
