"""Invented names: companies, people, campaigns. Mail addresses lie under the reserved domain `.example`."""

WEST_FIRST = (
    *("Amber", "Birch", "Cobalt", "Dune", "Ember", "Fern", "Granite", "Hazel", "Indigo", "Juniper", "Kestrel", "Larch"),
    *("Maple", "Nimbus", "Ochre", "Plover", "Quill", "Rowan", "Sable", "Teal", "Umber", "Violet", "Willow", "Zephyr"),
)
WEST_SECOND = (
    *("Harbor", "Foundry", "Orchard", "Freight", "Analytics", "Outfitters", "Kitchens", "Robotics", "Paper", "Clinics"),
    *("Energy", "Logistics", "Textiles", "Tools"),
)
WEST_FORM = {"USD": ("Inc.", "LLC", "Co."), "EUR": ("GmbH", "SAS", "B.V.", "S.r.l.")}
JAPAN_FIRST = (
    *("青葉", "若草", "白樺", "桜坂", "大空", "月見", "虹橋", "北斗野", "朝凪", "夕霧", "千歳川", "松風", "みどり丘"),
    *("ひかり台", "さざなみ", "こもれび", "花筏", "雪見", "風早", "星影"),
)
JAPAN_SECOND = (
    *("商会", "製作所", "物流", "フーズ", "システムズ", "工房", "企画", "電機", "薬品", "出版", "建材", "倉庫"),
)
WEST_GIVEN = (
    "Ada",
    "Ben",
    "Clara",
    "Dan",
    "Elif",
    "Finn",
    "Greta",
    "Hugo",
    "Ines",
    "Jon",
    "Kira",
    "Leo",
    "Mona",
    "Nils",
)
WEST_FAMILY = ("Abbot", "Brandt", "Costa", "Dreyer", "Evans", "Fabre", "Grant", "Hofer", "Ivers", "Jensen", "Keller")
JAPAN_GIVEN = ("葵", "健太", "美咲", "翔", "結衣", "大輔", "陽菜", "拓也", "さくら", "直樹", "恵", "誠")
JAPAN_FAMILY = ("佐々木", "高橋", "森田", "岡本", "西村", "石原", "片山", "中川", "久保", "小松", "野口", "堀内")

OWNERS = ("Priya Anand", "Tom Baxter", "Lena Hoffmann", "木村 遥", "Marco Vidal", "上田 亮")
CSMS = ("Sofia Lind", "Omar Haddad", "加藤 真理", "Ewan Price", "Julia Brandl")
INDUSTRIES = ("Manufacturing", "Retail", "Software", "Healthcare", "Logistics", "Media", "Finance")
CAMPAIGNS = {
    "Web search": ("Search brand", "Search category", "Comparison pages"),
    "Referral": ("Customer referral",),
    "Partner": ("Partner north", "Partner Tokyo"),
    "Event": ("Spring summit", "Autumn fair", "東京展示会"),
    "Outbound": ("Outbound mid-market", "Outbound enterprise"),
}
