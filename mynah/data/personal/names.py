"""Names of people, in English and Chinese.

Chinese: the commonest surnames before one or two characters that a segmenter does not read as other words, or with a
title or an introduction.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from mynah.data.personal.config import Span
from mynah.data.personal.names_en import find_english_names
from mynah.data.preprocess import stop_words

_SURNAMES_ZH = frozenset(
    "王李张張刘劉陈陳杨楊黄黃赵趙吴吳周徐孙孫马馬朱胡郭何高林罗羅郑鄭梁谢謝宋唐许許韩韓冯馮邓鄧曹彭曾肖萧蕭田董袁潘于於蔣蒋蔡余"
    "杜叶葉程苏蘇魏吕呂丁任沈姚卢盧姜崔钟鍾谭譚陆陸汪范金石廖贾賈夏韦韋付傅方白邹鄒孟熊秦邱江尹薛闫閻段雷侯龙龍史陶黎贺賀顾顧"
    "毛郝龚龔邵万萬钱錢严嚴覃武戴莫孔向汤湯温康施文牛樊葛邢安齐易乔伍庞庄莊倪聂章鲁岳翟殷詹申欧歐耿关關兰焦俞左柳甘祝包宁尚符舒"
    "阮柯纪梅童凌毕单季裴霍涂成苗谷盛曲翁冉骆蓝路游辛靳欧管柴蒙鲍华喻祁蒲房滕屈饶解牟艾尤阳时穆农司卓古吉缪简车项连芦麦褚娄窦戚岑景"
    "党宫费卜冷晏席卫米柏宗瞿桂全佟应臧闵苟邬边卞姬师和仇栾隋商刁沙荣巫寇桑郎甄丛仲虞敖巩明佘池查麻苑迟邝官封谈匡鞠惠荆乐冀郁胥南班储原栗燕楚鄢阎束阴富利慎赖巴贝习薄撒楼屠劳戎浦谌宣丰原逄滑辜岩敬相修衣迮"
)
_DOUBLE_ZH = (
    "欧阳 歐陽 司马 上官 诸葛 东方 皇甫 尉迟 公孙 慕容 令狐 夏侯 司徒 独孤 南宫 长孙 宇文 轩辕 端木".split()
)
_BEGIN_ZH = _SURNAMES_ZH.union(name[0] for name in _DOUBLE_ZH)
_HAN = r"[\u4e00-\u9fff]"
_ONLY_HAN = re.compile(rf"{_HAN}+")
_TITLE_ZH = re.compile(
    r"(?:先生|女士|小姐|太太|夫人|老师|医生|大夫|教授|博士|经理|总监|主任|同学|师傅|阿姨|叔叔|律师|警官|队长|局长|院长|校长|董事长|工程师|护士)"
)
_INTRO_ZH = re.compile(
    r"(?:我叫|我是|名叫|名字叫|名字是|姓名[:：为是]?|我的名字是|联系人[:：是]?|收件人[:：是]?|收货人[:：是]?|寄件人[:：是]?|客户[:：]|患者[:：]|员工[:：]|签名[:：]|户名[:：是]?|持卡人[:：是]?|叫做|本人)\s*"
    rf"(?P<name>{_HAN}{{2,4}})(?=[，,。.、；;！!？?\s（(]|的|，|住|电|今|身|手|是|在|来|想|和|与|\d|[A-Za-z]|$)"
)
#: Surnames that are rarely anything else; 和, 时, 于, 高 and the like need company to count.
_PLAIN_SURNAMES = frozenset(
    "王李张張刘劉陈陳杨楊赵趙黄黃吴吳周徐孙孫胡朱郭林罗羅郑鄭梁谢謝宋唐许許韩韓冯馮邓鄧曹彭曾肖萧董袁潘蒋蔡余杜叶葉魏苏蘇吕呂丁沈姚"
    "卢盧姜崔钟鍾谭譚陆陸汪范廖贾賈韦付邹鄒孟熊秦邱江尹薛闫閻侯陶贺賀顾郝龚龔邵钱覃莫孔汤施牛葛邢伍庞倪聂鲁岳翟殷詹申欧耿俞柳甘祝尚"
    "舒阮柯纪梅童凌毕裴霍涂苗翁冉骆靳管柴蒙鲍祁蒲屈饶牟艾尤穆卓缪芦麦褚窦戚岑费卜晏卫柏瞿佟臧闵苟邬卞栾隋刁沙寇桑郎甄巩麻迟匡鞠荆"
    "赖戴夏傅田毛贺洪龙阎何高饶颜严钱叶"
)
#: Characters that given names are made of, the commonest first.
_GIVEN_CHARACTERS = frozenset(
    "伟芳娜敏静丽强磊军洋勇艳杰娟涛超秀霞平刚桂英华文玉兰明红建国春梅海燕志小晓雪婷浩宇鹏飞欣怡子涵梓轩雨泽佳慧琳雅倩颖莉萍玲凤琴云莲真环爱妹香月莺媛"
    "瑞凡佩珊莎锦黛青倩妍茜秋珍贞荣楠榕荷滢馥筠柔竹霭凝欢霄枫芸菲寒伊亚宜姬舒影荔枝思悦昕冰爽琬茗羽希宁馨育瑗琰韵融园艺咏卿聪澜纯毓昭琪晴瑶"
    "毅俊峰保东辉力永健世广义兴良山仁波贵福生龙元全胜学祥发武新利清彬富顺信昌成康星光天达安岩茂进林坚和彪博诚敬震振壮思群豪心邦承乐绍功松善厚庆"
    "民友裕河哲江亮政谦亨奇固之轮翰朗伯宏言若鸣朋斌梁栋维启克伦翔旭鑫晨辰士家致树炎德泰盛雄琛钧冠策腾榕风航弘雨嘉诺萌奕睿煜瑜璐蕾蓉薇菁梦岚苑婕"
    "馥瑾婵昱珠翠娥彩淑惠巧美娣叶璧蓓芬茵娴琼勤珂芝锐靖培凯炜烨祖君然皓磊硕卓逸彤妙雯霖潇钰珏铭钦锋钢铁柱根旺财水火木土金银宝贝虎豹牛马鹤鸿雁莹晶"
    "璇玥玫瑰茹芷萱语嫣诗琦渝沛洁汐沁涵淇滨源浚泓灏焕煊灿炳焱照昊昂旻晖景晟暄曦月朔朝期楷桐梧森楚荣樱桃杏桑朴柏松鹃凰鸾翎翊翼耀骏骥驰骁骞腾麒麟"
    "丹丽仪任佑佐侠倪倬健偲儒元兆克全公兵冬冲净凌凝创初利劲勋化升卉南印原叔叙召叶吉君启周和咏品哲唯善喜嗣嘉四园圣坤城培基堂夏大天太奉奎奥妃姗姝姣娇婉媚孝孟季学宇守安定宜宝实宣宪宵容宽宾密富寒寿将小尚尧山岳岭岱峥崇川州巍工巨己平年幸广庄应延建异弛弦强彦彰徽心志忆忠快念怀性恒恩悟情惜意愿慈成战扬承抒拓振捷政敏教敦斯施旗日旦昌明易昭晋普晶智暖曙曼月朋机材杨权来杰果柯柳栋桓梁梓棋棠楠模正步武殿毅民气永汉池汶沐沙沛泉波泰洋洛洪济浦浩涌润淳清渊渊温港湘源溪滔澄澎潮瀚灵炫烈热焰然煌熙燕爽牧特狄献玄玉玛环珊珍琉琳琴瑞瑶璋生甫甲男界略登白百益盈直真石研硕礼祈祎祖祝福禄禹秉秋科积稳穆空立竞章童端笑笛筱简箫米精素紫红纪纯纲绍经绮维缘罗群翠翰者耕联聪胤舟航良艾节芃芊芙花芮苏茂茜茹草荃荷莉菀菊菱萧营葆葵蒙蓝蔚蕊蕴蕙藏虹蛟蝶衍裕西观言计训诗诚谊谋谨谷贞贤赋赐赞超越跃路轩载辅辉达迅迎远迪逍通速逢遥邦郁郎郡醒采里重野铃铮锡锦镇镜长门闲闻阔阳陶陆隆雁雄雅雪雷霁霆霏青非革音韬韵韶顺颂颜风飏飒馨香驹驿高鲁鲲鸣鸥鹏麦黎默鼎齐龄"
)
#: What begins like a surname and is a word that a segmenter may take for a name.
_WORDS_ZH = frozenset(
    "高兴 高中 高级 高度 高手 高铁 高速 高清 白天 白色 黄色 黄金 方便 方法 方面 方案 方式 方向 马上 马路 金额 金融 石头 江南 江湖 安全 安排 安装 安静 "
    "平安 温度 温柔 康复 文件 文章 文字 文化 文本 万一 万能 钱包 严重 严格 武器 成功 成为 成本 成绩 明天 明白 明显 和平 和谐 全部 全国 时间 时候 应该 应用 "
    "单位 单独 单号 单元 简单 连接 连续 路上 路由 游戏 游客 管理 管家 华为 解决 解释 关于 关系 关注 包括 包裹 包装 宁可 尚未 项目 车站 车辆 农村 司机 古代 "
    "吉祥 师傅 师父 商品 商家 商店 任何 任务 任意 周末 周日 周一 周二 周三 周四 周五 周六 周年 周围 何时 何必 何况 林业 曾经 程序 程度 段落 雷达 史上 "
    "龙头 毛病 康熙 国家 汤圆 于是 余额 叶子 谢谢 谢了 许多 宋体 唐诗 梁山 罗马 黄河 徐州 郑州 杭州 苏州 常州 朱红 胡说 胡子 郭沫 水果 张开 张贴 "
    "王国 王者 李子 杨树 陈述 陈列 刘海 吴越 孙子 马达 易于 乔迁 左右 左边 柳州 甘肃 祝福 祝贺 祝您 祝你 符合 舒服 梅花 童年 季节 毕业 毕竟 兰州 "
    "齐全 顾客 顾问 贺卡 石油 夏天 夏季 秦朝 江苏 江西 白云 田野 田园 金属 金钱 方程 丁香 沈阳 姜汤 钟头 范围 汪汪 贾府 韦伯 付款 付费 付出 傅里 邱比 "
    "南方 南京 南北 原因 原来 席位 卫生 卫星 米饭 宗教 桂林 冷静 官方 官网 封面 查询 查看 查找 谈话 惠州 乐意 班级 储存 班次 党员 费用 景色 麦克 "
    "单身 单价 单据 明年 明确 明星 和你 和我 和他 全家 全身 时代 成都 成立 应当 游泳 管他 向前 向上 向往 向来 安卓 安心 安慰 方才 白痴 白白 "
    "何以 何等 曾有 曹操 项链 连忙 连同 解放 解答 包含 尤其 华人 华丽 关心 关门 关闭 关键 纪念 纪律 纪录 凌晨 盛大 盛夏 路过 路线 路边 管子 万分".split()
)


@cache
def _tagger() -> Any:
    import rjieba

    return rjieba.tag


def given_name_zh(name: str) -> str | None:
    """Return the given name of a whole Chinese name of three characters (小明 of 王小明), None if it is no such name."""
    given = name[1:]
    if len(name) != 3 or name[0] not in _SURNAMES_ZH or not _ONLY_HAN.fullmatch(name):
        return None
    if _TITLE_ZH.fullmatch(given) or given in stop_words("zh") or not set(given) <= _GIVEN_CHARACTERS:
        return None
    return given


def find_names(text: str) -> Iterator[Span]:
    """Yield names of people."""
    if re.search(r"[A-Z][a-z]", text):
        yield from find_english_names(text)
    if re.search(_HAN, text):
        yield from _chinese(text)


_GIVEN = f"[{''.join(sorted(_GIVEN_CHARACTERS))}]"
#: What is done to people, and what people do, beside a name of two or three characters.
_TOLD_ZH = re.compile(
    rf"(?:转告|通知一下|联系一下|请找|告诉|问一下|拜托)(?P<name>{_HAN}(?:{_GIVEN}|明|想|方|同|开){{1,2}})(?=[，,。！!？?\s、的老先女]|$)"
)
_DOES_ZH = re.compile(
    rf"(?:^|[，,。！!？?\s、是由跟和给天才周])(?P<name>{_HAN}(?:{_GIVEN}|明|想|方|同|开){{1,2}})"
    r"(?=负责|来公司|的快递|的电话|的手机|的邮箱|打电话|打来|说[：:]|表示[：:，]|告诉我)"
)


def _chinese(text: str) -> Iterator[Span]:
    before = 0
    for found in _TITLE_ZH.finditer(text):
        # The title is sure, where the name begins is not: the last surname before it begins it.
        end = found.start()
        for size in (3, 2, 1):
            tail = text[max(before, end - size) : end]
            begins = tail[:2] in _DOUBLE_ZH or tail[:1] in _SURNAMES_ZH
            if len(tail) == size and begins and tail not in _WORDS_ZH and _ONLY_HAN.fullmatch(tail):
                yield Span(end - size, end, "name", "zh")
                break
        before = found.end()
    for found in _INTRO_ZH.finditer(text):
        name = found["name"]
        if (
            (name[:1] in _SURNAMES_ZH or name[:2] in _DOUBLE_ZH)
            and name not in _WORDS_ZH
            and name[:2] not in _WORDS_ZH
        ):
            size = min(len(name), 4 if name[:2] in _DOUBLE_ZH else 3)
            yield Span(found.start("name"), found.start("name") + size, "name", "zh")
    for pattern in (_TOLD_ZH, _DOES_ZH):
        for found in pattern.finditer(text):
            if found["name"][0] in _SURNAMES_ZH and found["name"][:2] not in _WORDS_ZH:
                yield Span(*found.span("name"), "name", "zh")
    at = 0
    tokens: list[tuple[str, str]] = _tagger()(text)
    for index, (word, tag) in enumerate(tokens):
        if word[0] not in _BEGIN_ZH:  # most words: nothing that a name begins with
            at += len(word)
            continue
        whole, kind = word, tag
        if (len(word) == 1 or word in _DOUBLE_ZH) and index + 1 < len(tokens):
            # The segmenter cut the surname off: 赵 and 铁柱.
            whole, kind = word + tokens[index + 1][0], "x"
            if index + 2 < len(tokens) and len(whole) == 2 and len(tokens[index + 2][0]) == 1:
                longer = whole + tokens[index + 2][0]
                if _is_name_token(longer, kind, text[max(0, at - 4) : at], text[at + 3 : at + 8]):
                    whole = longer
        end = at + len(whole)
        if _is_name_token(whole, kind, text[max(0, at - 4) : at], text[end : end + 5]):
            yield Span(at, end, "name", "zh")
        at += len(word)


def _is_name_token(word: str, tag: str, before: str, after: str) -> bool:
    """Whether a word that the segmenter read as a name, or did not know, is built and stands as one.

    The dictionary calls many common words names (文明, 荣誉), so that a name of three characters must be made of
    characters that names are made of, and one of two must also stand beside what is said of people.
    """
    double = word[:2] in _DOUBLE_ZH
    if not 2 <= len(word) <= 4 or not _ONLY_HAN.fullmatch(word) or word[:2] in _WORDS_ZH or word in _WORDS_ZH:
        return False
    if tag not in ("nr", "nrfg", "nrt", "x") or not (double or word[0] in _SURNAMES_ZH):
        return False
    given = word[2:] if double else word[1:]
    beside = _BEFORE_PERSON.search(before) or _AFTER_PERSON.match(after)
    if not (beside or double or word[0] in _PLAIN_SURNAMES):
        return False
    if not 1 <= len(given) <= 2 or not all(char in _GIVEN_CHARACTERS for char in given):
        return False
    return len(given) == 2 or double or bool(beside)


#: What stands before and after people: calling, asking, telling; saying, coming, being in charge.
_BEFORE_PERSON = re.compile(
    r"(?:找|转告|告诉|通知|联系|请教|同事|同学|朋友|老板|客户|感谢|谢谢|昨天|今天|@|问问|认识|经理|老师|医生)[，,：:\s]*$"
)
_AFTER_PERSON = re.compile(
    r"(?:说|问|答|表示|认为|告诉|负责|打电话|来公司|来过|来了|的(?:快递|电话|手机|账号|邮箱|地址|名字|订单)|你好|您好|老师|先生|女士|小姐|经理)"
)
