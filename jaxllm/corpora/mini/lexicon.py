"""The words of the mini corpora: each is one piece of the mini tokenizer.

Everything the nine tasks and the plain text say is put together from these words, and the facts in
them are true.
"""

from __future__ import annotations

from typing import NamedTuple


class Word(NamedTuple):
    """A noun as it is written, read in hiragana, and said in English."""

    written: str
    reading: str
    english: str


def _words(text: str) -> tuple[Word, ...]:
    return tuple(Word(*entry.split("/")) for entry in text.split())


PEOPLE = tuple(
    "太郎 花子 健太 美咲 翔太 葵 大輔 陽菜 拓也 結衣 直樹 彩香 和也 七海 達也 真央 浩二 千尋 誠"
    " 早苗".split()
)

ANIMALS = _words(
    "犬/いぬ/dog 猫/ねこ/cat 馬/うま/horse 牛/うし/cow 羊/ひつじ/sheep 猿/さる/monkey"
    " 熊/くま/bear 狐/きつね/fox 鹿/しか/deer 豚/ぶた/pig 虎/とら/tiger 兎/うさぎ/rabbit"
)

PLACES = _words(
    "駅/えき/station 公園/こうえん/park 学校/がっこう/school 図書館/としょかん/library"
    " 病院/びょういん/hospital 銀行/ぎんこう/bank 海/うみ/sea 山/やま/mountain"
    " 工場/こうじょう/factory 空港/くうこう/airport 市場/いちば/market 寺/てら/temple"
    " 城/しろ/castle 港/みなと/harbor 川/かわ/river 森/もり/forest 庭/にわ/garden"
    " 教室/きょうしつ/classroom 牧場/ぼくじょう/farm 橋/はし/bridge"
)

# Verbs of the place sentences: plain form, its reading, English third person singular.
VERBS = _words(
    "走る/はしる/runs 眠る/ねむる/sleeps 歩く/あるく/walks 遊ぶ/あそぶ/plays 休む/やすむ/rests"
    " 待つ/まつ/waits 立つ/たつ/stands 踊る/おどる/dances"
)

# What belongs to what, for questions of common sense.
CATEGORIES: dict[str, tuple[str, ...]] = {
    "動物": tuple(word.written for word in ANIMALS),
    "果物": tuple("林檎 桃 梨 葡萄 蜜柑 柿 苺 西瓜".split()),
    "乗り物": tuple("電車 自転車 飛行機 船 自動車 地下鉄 馬車 新幹線".split()),
    "楽器": tuple("太鼓 笛 琴 三味線 ピアノ ギター バイオリン トランペット".split()),
    "文房具": tuple("鉛筆 消しゴム 定規 糊 万年筆 画用紙 クレヨン 色鉛筆".split()),
    "家具": tuple("机 椅子 本棚 箪笥 食器棚 ソファー ベッド 鏡台".split()),
    "飲み物": tuple("お茶 牛乳 紅茶 珈琲 麦茶 ジュース ココア 緑茶".split()),
    "衣服": tuple("着物 靴下 上着 浴衣 手袋 セーター ズボン シャツ".split()),
    "花": tuple("桜 菊 薔薇 百合 椿 朝顔 向日葵 紫陽花".split()),
}

# Capital cities, asked without choices.
CAPITALS = dict(
    entry.split("/")
    for entry in (
        "日本/東京 フランス/パリ イタリア/ローマ イギリス/ロンドン ドイツ/ベルリン"
        " スペイン/マドリード ロシア/モスクワ 中国/北京 韓国/ソウル タイ/バンコク"
        " エジプト/カイロ ギリシャ/アテネ カナダ/オタワ ペルー/リマ キューバ/ハバナ"
        " ノルウェー/オスロ ポルトガル/リスボン オーストリア/ウィーン ベトナム/ハノイ"
        " ケニア/ナイロビ チリ/サンティアゴ ポーランド/ワルシャワ ハンガリー/ブダペスト"
        " アイルランド/ダブリン"
    ).split()
)

# Authors, asked without choices.
AUTHORS = dict(
    entry.split("/")
    for entry in (
        "坊っちゃん/夏目漱石 羅生門/芥川龍之介 雪国/川端康成 人間失格/太宰治 金閣寺/三島由紀夫"
        " 舞姫/森鴎外 源氏物語/紫式部 枕草子/清少納言 徒然草/兼好法師 方丈記/鴨長明"
        " 奥の細道/松尾芭蕉 銀河鉄道の夜/宮沢賢治 破戒/島崎藤村 たけくらべ/樋口一葉"
        " 細雪/谷崎潤一郎 檸檬/梶井基次郎"
    ).split()
)

# School knowledge, asked with choices: prefectural capitals, element symbols, opposites.
PREFECTURES = dict(
    entry.split("/")
    for entry in (
        "北海道/札幌 岩手/盛岡 宮城/仙台 茨城/水戸 栃木/宇都宮 群馬/前橋 神奈川/横浜 山梨/甲府"
        " 石川/金沢 愛知/名古屋 滋賀/大津 兵庫/神戸 島根/松江 香川/高松 愛媛/松山 沖縄/那覇"
    ).split()
)
ELEMENTS = dict(
    entry.split("/")
    for entry in (
        "水素/H 窒素/N 酸素/O 硫黄/S ヘリウム/He 鉄/Fe 銅/Cu 銀/Ag 金/Au 鉛/Pb 亜鉛/Zn"
        " カルシウム/Ca 塩素/Cl"
    ).split()
)
OPPOSITES = dict(
    entry.split("/")
    for entry in (
        "大きい/小さい 高い/低い 長い/短い 重い/軽い 明るい/暗い 速い/遅い 広い/狭い 厚い/薄い"
        " 強い/弱い 暑い/寒い 新しい/古い 深い/浅い 太い/細い 多い/少ない"
    ).split()
)

# Companies and what the news says of them.
COMPANIES = tuple(
    f"{name}{kind}"
    for name in "サクラ ミドリ アサヒ フジ ミナト ヒカリ オリオン".split()
    for kind in "電機 食品 建設 製薬".split()
)
POLARITIES: dict[str, tuple[str, ...]] = {
    "positive": ("増益となった", "売上を伸ばした", "黒字に転じた", "過去最高益だった"),
    "negative": ("減益となった", "売上を落とした", "赤字に転じた", "業績が悪化した"),
    "neutral": ("前年並みだった", "横ばいだった", "社名を変更した", "本社を移した"),
}
