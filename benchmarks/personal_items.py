"""A labelled set of personal data in sentences, made with a seed: from formats in the standards, not from patterns.

Values come from the standards' own rules (check digits, numbering plans, reserved blocks left aside) and from Faker's
lists of names, streets and plates; the sentences around them, and the hard negatives, are written here.
"""

from __future__ import annotations

import base64
import hashlib
import random
import string
from collections.abc import Callable
from dataclasses import dataclass

from faker import Faker


@dataclass(frozen=True)
class Item:
    """A text and what is personal in it: (start, end, kind) of each piece."""

    text: str
    spans: tuple[tuple[int, int, str], ...]


#: Sentences around a value {}: English and Chinese, many kinds at once, with and without a word that names it.
FRAMES: dict[str, list[str]] = {
    "email": [
        "Write to {} please.",
        "my mail is {}",
        "({})",
        "{}, thanks!",
        "contact:{}",
        "我的邮箱是{}，谢谢",
        "请发到{}。",
        "邮箱：{}",
        "Send the invoice to {} and nobody else",
        "<{}>",
        "Is {} still valid?",
        "发邮件给{}就行",
    ],
    "phone": [
        "Call me at {} after six.",
        "my number is {}",
        "Phone: {}",
        "You can reach me on {}.",
        "tel. {}",
        "电话：{}",
        "我的手机号是{}，随时联系",
        "有事打{}",
        "联系电话{}。",
        "Mobile {} (evenings)",
        "text me {}",
        "客服让我留电话{}",
    ],
    "card": [
        "My card is {}.",
        "card number {} exp 04/27",
        "卡号{}",
        "银行卡：{}，麻烦退款",
        "charge {} please",
        "I paid with {} yesterday",
        "信用卡 {} 被盗刷了",
        "Visa {}",
        "the number on it reads {}",
    ],
    "iban": [
        "IBAN: {}",
        "please transfer to {}",
        "my account is {}.",
        "收款账户{}",
        "Pay into {} by Friday",
        "Kontonummer {}",
    ],
    "id": [
        "身份证号{}",
        "我的身份证是{}，麻烦查一下",
        "ID: {}",
        "my id number is {}.",
        "证件号码：{}",
        "the document says {}",
        "身份证 {} 已上传",
    ],
    "ip": [
        "my IP is {}",
        "服务器地址{}连不上",
        "ssh root@{} fails",
        "ping {} times out",
        "blocked {} again",
        "IP：{}",
        "from {} at noon",
    ],
    "mac": ["MAC {}", "the adapter is {}", "设备地址{}", "hwaddr {} up", "mac地址：{}"],
    "address": ["I live at {}.", "ship it to {}", "Address: {}", "My parcel went to {} instead."],
    "address_zh": ["我住在{}", "地址：{}", "请寄到{}，谢谢", "收货地址是{}。", "快递送到{}就行"],
    "plate": ["车牌{}", "车牌号是{}，停在门口", "我的车是{}", "{}被贴条了"],
    "plate_gb": ["my car is {}", "registration {}", "number plate {} was seen", "The van {} blocked us"],
    "plate_us": ["license plate {}", "the plate is {}", "License plate: {}, white van"],
    "qq": ["QQ：{}", "加我QQ{}", "我的QQ号是{}", "qq {} 随时在线", "My QQ is {}"],
    "wechat": ["微信：{}", "加微信{}", "我的微信号是{}", "wechat: {}", "my WeChat ID is {}", "vx {}"],
    "key": [
        "the key is {}",
        "use {} for now",
        "export TOKEN={}",
        "密钥：{}",
        "it printed {} in the log",
        "token: {}",
    ],
    "password": ["my password is {}", "密码：{}", "password: {}", "pwd={}", "登录密码是{}"],
    "wallet": ["send it to {}", "钱包地址{}", "wallet {} is mine", "BTC: {}"],
    "name": [
        "My name is {}.",
        "Please ask for {} at the desk.",
        "{} called yesterday.",
        "I spoke with {} about it",
        "regards, {}",
        "The order is for {}, not for me.",
        "Is {} in today?",
        "It was {} who signed.",
        "Thanks, {}",
        "Name: {}",
    ],
    "name_title": [
        "Dear Mr. {},",
        "Mrs {} will call back.",
        "Dr. {} prescribed it",
        "I am seeing Ms. {} at noon",
    ],
    "name_zh": [
        "我叫{}。",
        "我是{}，请问在吗",
        "联系人：{}",
        "收件人{}，电话在下面",
        "{}先生您好",
        "{}女士昨天来过",
        "请找{}老师",
        "姓名：{}",
        "昨天{}来公司了",
        "这件事是{}负责的",
        "帮我转告{}，谢谢",
        "{}的快递到了",
    ],
}

#: Sentences without anything personal that look as if they had some.
NEGATIVES = [
    "Order {order} has shipped.", "order number {digits11} please", "订单号{digits11}还没到", "快递单号：{digits12}", "运单{digits13}在哪里",
    "invoice #{digits10}", "Tracking: {upper2}{digits9}CN", "version {version} is out", "固件版本{version}", "upgrade to v{version}",
    "It costs ${price}.", "一共{digits3}元", "ISBN {isbn}", "on {date} at {time}", "{date_zh}下午{hour}点", "commit {sha1}",
    "md5 {md5}", "uuid {uuid}", "part no. {upper2}-{digits4}-{digits3}", "Chapter {digits2}.{digits1}.{digits1}",
    "The ratio is {digits1}:{digits2}:{digits2}", "run took {time} in total", "room {digits3}, floor {digits1}", "error code {digits6}",
    "In {year} there were {digits3},{digits3} of them", "resolution {digits4}x{digits4}", "see RFC {digits4} section {digits1}.{digits1}",
    "icon@2x.png is missing", "install lodash@4.{digits2}.{digits2}", "clone git@github.com:team/repo.git", "@{word} thanks",
    "std::vector<int> and a::b::c", "The Golden Gate Bridge is closed", "We met in New York City last May", "Happy New Year to all",
    "I love Rose Garden tea", "Microsoft Office does not open", "Visit San Francisco in June", "Hello World is printed twice",
    "Good Morning America is on", "Thank You Very Much", "方便面很好吃", "高兴得不得了", "白天晚上都可以", "黄金周去旅游", "安全第一", "马上就到",
    "于是我们就走了", "成功的关键是坚持", "全国各地都有", "温度太高了", "明天下午三点", "平安到家", "严重的问题", "游戏很好玩", "关于退款的问题", "周末愉快",
    "任何时候都行", "程序又崩溃了", "包括运费吗", "单独购买", "我们在路上", "在公园里走了两条路", "这条街很长", "住在附近", "走5号线", "第3号楼有电梯吗",
    "Take 3 pills, 2 times a day", "10 easy ways to cook", "5 Star service", "2 new drive bays", "the 3 main streets of town",
    "微信支付失败了", "QQ音乐打不开", "wechat message not sent", "微信群里说过", "reset my password please", "忘记密码了", "the token expired",
    "password must have 8 characters", "the key is under the mat", "serial {upper2}{digits8}", "model {upper2}{digits4}{upper1}",
    "score 3-2 after 90 minutes", "pages 120-135", "flight {upper2}{digits4}", "SKU {digits8}", "bus {digits3} at {time}",
    "张开嘴巴", "高中生活", "石头剪刀布", "江南水乡", "罗马不是一天建成的", "白色的那件", "金额不对", "何时发货", "时间太晚了", "应该可以", "钱包丢了", "温柔一点",
]  # fmt: skip

_WEIGHTS_CN = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
#: Prefixes of real numbering plans: mobile China, area codes of the USA and the UK.
_CN = (
    "130 131 135 136 137 138 139 150 152 158 159 166 170 176 177 178 180 185 187 188 189 191 198 199".split()
)
_CN_AREA = ("010", "021", "020", "0755", "0571", "028", "025")
_US = "212 415 305 312 617 702 206 404 512 646 718 213 503 303 602".split()
_ISSUERS = (
    ("4", 16),
    ("51", 16),
    ("5425", 16),
    ("2223", 16),
    ("34", 15),
    ("37", 15),
    ("6011", 16),
    ("62", 16),
    ("6222", 19),
    ("3528", 16),
)
_IBANS = {
    "DE": "18n",
    "GB": "4a14n",
    "FR": "10n11c2n",
    "NL": "4a10n",
    "ES": "20n",
    "IT": "1a10n12c",
    "PL": "24n",
    "CH": "5n12c",
    "AT": "16n",
}


class Maker:
    """Makes values from one seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.fakers = {lang: Faker(lang) for lang in ("en_US", "en_GB", "zh_CN", "de_DE")}
        for fake in self.fakers.values():
            fake.seed_instance(seed)

    def digits(self, n: int) -> str:
        return str(self.random.randint(1, 9)) + "".join(self.random.choices(string.digits, k=n - 1))

    def email(self) -> str:
        fake = self.fakers[self.random.choice(("en_US", "en_GB", "zh_CN", "de_DE"))]
        return self.random.choice(
            (
                fake.email(),
                fake.company_email(),
                fake.free_email(),
                f"{fake.user_name()}+{self.digits(2)}@qq.com",
            )
        )

    def phone(self) -> str:
        r, d = self.random, self.digits
        local = f"{r.choice('23456789')}{d(2)}", d(4)
        area = r.choice(_US)
        mobile = r.choice(_CN) + "".join(r.choices(string.digits, k=8))
        uk = f"7{r.choice(('400', '700', '911', '805', '590'))}{''.join(r.choices(string.digits, k=6))}"
        return r.choice((
            f"({area}) {local[0]}-{local[1]}", f"{area}-{local[0]}-{local[1]}", f"+1 {area} {local[0]} {local[1]}", f"{area}.{local[0]}.{local[1]}",
            f"+1-{area}-{local[0]}-{local[1]}", mobile, mobile, f"+86 {mobile}", f"{mobile[:3]} {mobile[3:7]} {mobile[7:]}",
            f"{mobile[:3]}-{mobile[3:7]}-{mobile[7:]}", f"{r.choice(_CN_AREA)}-{r.choice('5678')}{''.join(r.choices(string.digits, k=7))}",
            f"0{uk[:4]} {uk[4:]}", f"+44 {uk[:4]} {uk[4:]}", f"020 7{r.choice('234')}{''.join(r.choices(string.digits, k=2))} {d(4)}",
            f"+49 151 {d(8)}", f"+33 6 {d(2)} {d(2)} {d(2)} {d(2)}",
        ))  # fmt: skip

    def card(self) -> str:
        prefix, length = self.random.choice(_ISSUERS)
        body = prefix + "".join(self.random.choices(string.digits, k=length - len(prefix) - 1))
        total = 0
        for i, char in enumerate(reversed(body)):
            n = int(char) * (2 if i % 2 == 0 else 1)
            total += n - 9 if n > 9 else n
        number = body + str(-total % 10)
        if length == 16 and self.random.random() < 0.5:
            return self.random.choice((" ", "-")).join(number[i : i + 4] for i in range(0, 16, 4))
        return number

    def iban(self) -> str:
        country, form = self.random.choice(list(_IBANS.items()))
        body, number = "", ""
        for char in form:
            if char.isdigit():
                number += char
                continue
            pool = {
                "n": string.digits,
                "a": string.ascii_uppercase,
                "c": string.digits + string.ascii_uppercase,
            }[char]
            body += "".join(self.random.choices(pool, k=int(number)))
            number = ""
        value = int("".join(str(int(c, 36)) for c in body + country + "00"))
        whole = f"{country}{98 - value % 97:02}{body}"
        return (
            " ".join(whole[i : i + 4] for i in range(0, len(whole), 4))
            if self.random.random() < 0.4
            else whole
        )

    def resident_id(self) -> str:
        area = self.random.choice(
            ("110101", "310104", "440305", "330106", "510107", "420111", "610113", "320102")
        )
        birth = (
            f"{self.random.randint(1950, 2009)}{self.random.randint(1, 12):02}{self.random.randint(1, 28):02}"
        )
        body = area + birth + "".join(self.random.choices(string.digits, k=3))
        total = sum(int(c) * w for c, w in zip(body, _WEIGHTS_CN, strict=True))
        return body + "10X98765432"[total % 11]

    def national_id(self) -> str:
        r = self.random
        if r.random() < 0.6:
            return self.resident_id()
        number = r.randint(10_000_000, 99_999_999)
        return r.choice((
            f"{r.randint(1, 665):03}-{r.randint(1, 99):02}-{r.randint(1, 9999):04}",
            f"{r.choice(('AB', 'CE', 'HJ', 'KL', 'MP', 'RS', 'TW', 'XY', 'PX', 'SC', 'LM'))} {r.randint(10, 99)} {r.randint(10, 99)} {r.randint(10, 99)} {r.choice('ABCD')}",
            f"{number}{'TRWAGMYFPDXBNJZSQVHLCKE'[number % 23]}",
        ))  # fmt: skip

    def ip(self) -> str:
        r = self.random
        if r.random() < 0.7:
            return ".".join(str(r.randint(1 if i in (0, 3) else 0, 254)) for i in range(4))
        groups = [f"{r.randint(1, 65535):x}" for _ in range(8)]
        return ":".join(groups) if r.random() < 0.5 else f"{groups[0]}:{groups[1]}::{groups[6]}:{groups[7]}"

    def mac(self) -> str:
        pairs = [f"{self.random.randint(0, 255):02x}" for _ in range(6)]
        shown = self.random.choice((":", "-")).join(pairs)
        return shown.upper() if self.random.random() < 0.5 else shown

    def address(self) -> str:
        fake = self.fakers["en_US"]
        street = fake.street_address()
        return self.random.choice((f"{street}, {fake.city()}, {fake.state_abbr()} {fake.postcode()}", f"{street}, {fake.city()}, {fake.state_abbr()} {fake.postcode()}",
            f"{self.random.randint(1, 200)} {fake.last_name()} {self.random.choice(('Road', 'Street', 'Avenue', 'Lane', 'Drive'))}"))  # fmt: skip

    def address_zh(self) -> str:
        fake, r = self.fakers["zh_CN"], self.random
        road = f"{fake.last_name()}{r.choice(('和', '家', '民', '华'))}{r.choice(('路', '街', '大道', '巷'))}"
        place = r.choice(
            (f"{fake.province()}{fake.city()}{fake.district()}区", f"{fake.city()}{fake.district()}区", "")
        )
        unit = r.choice(
            (
                "",
                f"{r.randint(1, 30)}栋",
                f"{r.randint(1, 30)}号楼{r.randint(1, 6)}单元{r.randint(101, 2903)}室",
            )
        )
        return f"{place}{road}{r.randint(1, 999)}号{unit}"

    def plate(self) -> str:
        r = self.random
        body = "".join(r.choices("ABCDEFGHJKLMNPQRSTUVWXYZ0123456789", k=4)) + r.choice("0123456789")
        return f"{r.choice('京津沪渝冀豫云辽黑湘皖鲁苏浙赣鄂桂甘晋蒙陕吉闽贵粤青川宁琼')}{r.choice('ABCDEFGH')}{r.choice(('', '·', ' '))}{body}"

    def plate_gb(self) -> str:
        r = self.random
        letters = "ABCDEFGHJKLMNOPRSTUVWXY"
        return f"{r.choice('ABCDEFGHKLMNOPRSVWY')}{r.choice(letters.replace('O', ''))}{r.randint(51, 74)}{r.choice((' ', ''))}{''.join(r.choices('ABCDEFGHJKLMNOPRSTUVWXYZ', k=3))}"

    def plate_us(self) -> str:
        return self.random.choice(
            (
                f"{self.digits(1)}{''.join(self.random.choices(string.ascii_uppercase, k=3))}{self.digits(3)}",
                f"{''.join(self.random.choices(string.ascii_uppercase, k=3))}-{self.digits(4)}",
            )
        )

    def wechat(self) -> str:
        r = self.random
        return r.choice(
            (
                f"wxid_{''.join(r.choices(string.ascii_lowercase + string.digits, k=14))}",
                f"{self.fakers['en_US'].user_name()[:10]}_{self.digits(3)}",
                f"{r.choice(string.ascii_lowercase)}{''.join(r.choices(string.ascii_lowercase, k=5))}{self.digits(4)}",
            )
        )

    def key(self) -> str:
        r = self.random
        alnum = string.ascii_letters + string.digits

        def some(k: int, pool: str = alnum) -> str:
            return "".join(r.choices(pool, k=k))

        header = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').decode().rstrip("=")
        payload = base64.urlsafe_b64encode(f'{{"sub":"{some(8)}"}}'.encode()).decode().rstrip("=")
        return r.choice((f"AKIA{some(16, string.ascii_uppercase + string.digits)}", f"ghp_{some(36)}", f"xoxb-{self.digits(11)}-{some(24)}", f"sk-{some(48)}",
            f"AIza{some(35)}", f"hf_{some(34)}", f"{header}.{payload}.{some(43)}", some(40), f"glpat-{some(20)}", f"sk_live_{some(24)}"))  # fmt: skip

    def password(self) -> str:
        word = self.random.choice(("dragon", "Sommer", "purple", "Tiger", "coffee", "monkey"))
        return self.random.choice(
            (
                f"{word}{self.digits(3)}",
                f"{word}!{self.digits(2)}",
                f"{word.capitalize()}_{self.digits(4)}",
                "".join(self.random.choices(string.ascii_letters + string.digits + "!#%&*", k=12)) + "7",
            )
        )

    def wallet(self) -> str:
        if self.random.random() < 0.3:
            return "0x" + "".join(self.random.choices("0123456789abcdefABCDEF", k=40))
        raw = self.random.choice((b"\x00", b"\x05")) + self.random.randbytes(20)
        raw += hashlib.sha256(hashlib.sha256(raw).digest()).digest()[:4]
        alphabet, number, shown = (
            "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz",
            int.from_bytes(raw, "big"),
            "",
        )
        while number:
            number, rest = divmod(number, 58)
            shown = alphabet[rest] + shown
        return "1" * (len(raw) - len(raw.lstrip(b"\0"))) + shown

    def name(self) -> str:
        fake = self.fakers[self.random.choice(("en_US", "en_US", "en_GB"))]
        return f"{fake.first_name()} {fake.last_name()}"

    def negative(self) -> str:
        r = self.random
        values = {f"digits{n}": self.digits(n) for n in range(1, 14)}
        values |= {f"upper{n}": "".join(r.choices(string.ascii_uppercase, k=n)) for n in (1, 2)}
        values |= {
            "order": f"{self.digits(3)}-{self.digits(7)}-{self.digits(7)}", "version": ".".join(str(r.randint(0, 30)) for _ in range(r.choice((3, 4)))),
            "price": f"{r.randint(1, 9999)}.{r.randint(0, 99):02}", "isbn": f"978-{self.digits(1)}-{self.digits(4)}-{self.digits(4)}-{self.digits(1)}",
            "date": f"{r.randint(2001, 2026)}-{r.randint(1, 12):02}-{r.randint(1, 28):02}", "time": f"{r.randint(0, 23):02}:{r.randint(0, 59):02}:{r.randint(0, 59):02}",
            "date_zh": f"{r.randint(2001, 2026)}年{r.randint(1, 12)}月{r.randint(1, 28)}日", "hour": str(r.randint(1, 11)), "year": str(r.randint(1900, 2026)),
            "sha1": hashlib.sha1(r.randbytes(8)).hexdigest(), "md5": hashlib.md5(r.randbytes(8)).hexdigest(), "word": "mcdonalds",
            "uuid": "-".join(f"{r.getrandbits(4 * n):0{n}x}" for n in (8, 4, 4, 4, 12)),
        }  # fmt: skip
        return r.choice(NEGATIVES).format(**values)


def make_items(each: int = 200, seed: int = 0) -> list[Item]:
    """Return `each` items with a value of every kind and as many without any.

    A third of the items with a value also carries a harmless sentence before or after it.
    """
    maker = Maker(seed)
    zh = maker.fakers["zh_CN"]
    makers: dict[str, list[tuple[str, Callable[[], str]]]] = {
        "email": [("email", maker.email)], "phone": [("phone", maker.phone)], "card": [("card", maker.card)], "iban": [("iban", maker.iban)],
        "id": [("id", maker.national_id)], "ip": [("ip", maker.ip)], "mac": [("mac", maker.mac)],
        "address": [("address", maker.address), ("address_zh", maker.address_zh)],
        "plate": [("plate", maker.plate), ("plate_gb", maker.plate_gb), ("plate_us", maker.plate_us)],
        "im": [("qq", lambda: maker.digits(maker.random.randint(6, 10))), ("wechat", maker.wechat)],
        "key": [("key", maker.key), ("password", maker.password)], "wallet": [("wallet", maker.wallet)],
        "name": [("name", maker.name), ("name_title", lambda: maker.fakers["en_US"].last_name()), ("name_zh", zh.name)],
    }  # fmt: skip
    items = []
    for kind, sources in makers.items():
        for index in range(each):
            frames, value = sources[index % len(sources)][0], sources[index % len(sources)][1]()
            before, after = maker.random.choice(FRAMES[frames]).split("{}")
            if maker.random.random() < 0.33:
                other = maker.negative()
                before, after = (
                    (f"{other} {before}", after)
                    if maker.random.random() < 0.5
                    else (before, f"{after} {other}")
                )
            items.append(Item(before + value + after, ((len(before), len(before) + len(value), kind),)))
    items += [Item(maker.negative(), ()) for _ in range(each * len(makers))]
    maker.random.shuffle(items)
    return items
