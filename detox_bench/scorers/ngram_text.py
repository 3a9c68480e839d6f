"""Normalisation for the scorer ``ngram``: a batch of texts becomes one array of code points.

Disguises are undone as far as a table can: accents, width, case, look-alike letters, digits for
letters, repeated letters; traditional Chinese characters are read as simplified ones.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.uint32]

MAX_CHARACTERS = 10_000
"""Only the first so many characters of a text are read."""

SPACE = 32
_SEPARATOR = "\0"
_URL = re.compile(r"(?:https?://|www\.)[^\s\0]+|@url\b", re.IGNORECASE)
_MENTION = re.compile(r"@[\w.\-]+")

_GAP, _WORD, _SYMBOL, _DELETED = range(4)
_CLASS_OF_CATEGORY = {
    "L": _WORD,
    "M": _WORD,
    "N": _WORD,
    "So": _SYMBOL,
    "Sk": _SYMBOL,
    "Cf": _DELETED,
    "Cs": _DELETED,
}
_DELETED_RANGES = (
    (0x300, 0x370),  # combining accents of Latin and Cyrillic
    (0x591, 0x5C8),  # Hebrew points
    (0x610, 0x61B),  # Arabic marks
    (0x640, 0x641),  # tatweel
    (0x64B, 0x660),  # Arabic vowel marks
    (0x670, 0x671),
    (0x93C, 0x93D),  # nukta
    (0xFE00, 0xFE10),  # variation selectors
    (0x1F3FB, 0x1F400),  # skin tones
)
_DELETED_CHARACTERS = "'’`´ʼ"
_SAME_LETTER = ("ىةؤئکیıłđøæœёґ", "يهويكيildoeeег")
_LEET = dict(zip("@$0134578!", "asoieastbi", strict=True))
_TRADITIONAL = (
    "國學會來時個們這說為對過還後沒開關問間門見現話請讓認識誰論語課讀寫書畫車軍轉輪連運進達遠"
    "遲選邊邏錯錢鐵長張強當應該條東樣機權殺殘氣漢決況淚湯滅災無煙熱爛爭爺牆獎獨獄猶獸琺產畢異"
    "療發盡監盤眾睜礙禍禮種積稱穩窮競筆節範築簡類糧紅紀約級純紙結給絕統經綠維網緊線緒練緣縣總"
    "績繼續織罵罷羅義習聖聞聯聲職聽腦脫膽臉臨舉舊艦艱藝蘇華萬葉號虧蟲蠻術衛衝補裝襲規視親覺觀"
    "觸訂計討訓記設許訴診詐評詞試詩詳誇誌誘誠誤調談諒謀謊謝謹證譏議護譽變讚豬貓貝負財貧貨販貪"
    "責費貼賀賊賓賣賤質賴賺購賽贈贏趙趕跡踐蹤躍軟較載輔輕輛輩輸轟辦辭農邁鄉醜醫釋針鈔鉤銀銷鋒"
    "錄鍋鍵鎖鎮鏡鐘鑽閃閉閒閱閹陣陰陳陸陽隊階際隨險隱隸難雜雙雞離電靈靜響頁頂項順須預領頭頻顆"
    "題額顏願顧顯風飛飯飲飼餓館騙騎騷驅驗驚髒體鬆鬥鬧魚鮮鳥鳴鴨鵝麗麥麼黃點黨齊齒龍龜媽嗎嗚嚇"
    "嚴囂圍園圓圖團壓壞壯壽夢夠夥奪奮婦嬰孫實審寧將尋導屍屬島嶺幫帶幹幾庫廁廢廣廳彈彎徑從復徹"
    "態慘慣慮慶憂憐憑憤懶懷懸戀戰戲戶拋挾掃掛採換揮損搖搶撐撥擁擇擊擋擔據擠擴擺擾攔攝攤敗敵數"
    "斃斷於昇晉暫曆曉極構槍樂標樓橋橫檔檢歡歐歲歷歸毀毆氫汙沖淒淺渾測溝滯滾滿漁漲潔潛澤濁濃濕"
    "濟濫瀉灑灣烏燈燒燙營爐爾牽狀狹猙獵瑪瘋瘡瘓癡癢癬癱皺盜盧矯碼確礦禦稅窩竊筍籃籠粵糞糾紛紮"
    "細終組絆絲綁緩編縮縱纏罰翹聳聰肅腎腫腸膚膠膩臟艙艷莊萊蔥蔭薦蘭虛蝕蝦螞蠅蠟裡襯襪覽訊託訪"
    "詛詢誕諷諸諾謂謎謠謬譜豐豔貞貢貫貶貸賄賜賠賬賭贓趨軀軌軒軸輯輿轄轎鄧鄭鄰醬釀釘釣鈍鈴鉛銅"
    "銘銳鋪鋸鋼錐錦鍾鎊鏈鏟鐮鑒鑰閘閨闆闊闖陝隻雖霧韓韻頌頒頓頗頸頹顛顫飄飾餅養餘餵馬馭馳駁駐"
    "駕駛駭駱騰騾驕驢驟鬍魯鯨鱷鳳鴉鴻鵑鷹鹹鹽黴鼴齡嘔嘯噁噓噴囑嚨囉妳姦姪娛嬌孃屆岡峽崗嶄巖帥"
    "師帳幀幣弔彆彌彙徵悅悶惡惱惻愛愜慫憊憲憶懇懲拚捨掙揚摑摟摯撈撫撲擬擰攏攜攪敘斂晝暈暢暱朧"
    "棄棟棲椏楊槳樁樞樹樸橢檳檸櫃欄欽歎氾洩涼淪渦溫滄滲澀澆濾瀏瀕瀟灘"
)
_SIMPLIFIED = (
    "国学会来时个们这说为对过还后没开关问间门见现话请让认识谁论语课读写书画车军转轮连运进达远"
    "迟选边逻错钱铁长张强当应该条东样机权杀残气汉决况泪汤灭灾无烟热烂争爷墙奖独狱犹兽珐产毕异"
    "疗发尽监盘众睁碍祸礼种积称稳穷竞笔节范筑简类粮红纪约级纯纸结给绝统经绿维网紧线绪练缘县总"
    "绩继续织骂罢罗义习圣闻联声职听脑脱胆脸临举旧舰艰艺苏华万叶号亏虫蛮术卫冲补装袭规视亲觉观"
    "触订计讨训记设许诉诊诈评词试诗详夸志诱诚误调谈谅谋谎谢谨证讥议护誉变赞猪猫贝负财贫货贩贪"
    "责费贴贺贼宾卖贱质赖赚购赛赠赢赵赶迹践踪跃软较载辅轻辆辈输轰办辞农迈乡丑医释针钞钩银销锋"
    "录锅键锁镇镜钟钻闪闭闲阅阉阵阴陈陆阳队阶际随险隐隶难杂双鸡离电灵静响页顶项顺须预领头频颗"
    "题额颜愿顾显风飞饭饮饲饿馆骗骑骚驱验惊脏体松斗闹鱼鲜鸟鸣鸭鹅丽麦么黄点党齐齿龙龟妈吗呜吓"
    "严嚣围园圆图团压坏壮寿梦够伙夺奋妇婴孙实审宁将寻导尸属岛岭帮带干几库厕废广厅弹弯径从复彻"
    "态惨惯虑庆忧怜凭愤懒怀悬恋战戏户抛挟扫挂采换挥损摇抢撑拨拥择击挡担据挤扩摆扰拦摄摊败敌数"
    "毙断于升晋暂历晓极构枪乐标楼桥横档检欢欧岁历归毁殴氢污冲凄浅浑测沟滞滚满渔涨洁潜泽浊浓湿"
    "济滥泻洒湾乌灯烧烫营炉尔牵状狭狰猎玛疯疮痪痴痒癣瘫皱盗卢矫码确矿御税窝窃笋篮笼粤粪纠纷扎"
    "细终组绊丝绑缓编缩纵缠罚翘耸聪肃肾肿肠肤胶腻脏舱艳庄莱葱荫荐兰虚蚀虾蚂蝇蜡里衬袜览讯托访"
    "诅询诞讽诸诺谓谜谣谬谱丰艳贞贡贯贬贷贿赐赔账赌赃趋躯轨轩轴辑舆辖轿邓郑邻酱酿钉钓钝铃铅铜"
    "铭锐铺锯钢锥锦钟镑链铲镰鉴钥闸闺板阔闯陕只虽雾韩韵颂颁顿颇颈颓颠颤飘饰饼养余喂马驭驰驳驻"
    "驾驶骇骆腾骡骄驴骤胡鲁鲸鳄凤鸦鸿鹃鹰咸盐霉鼹龄呕啸恶嘘喷嘱咙啰你奸侄娱娇娘届冈峡岗崭岩帅"
    "师帐帧币吊别弥汇征悦闷恶恼恻爱惬怂惫宪忆恳惩拼舍挣扬掴搂挚捞抚扑拟拧拢携搅叙敛昼晕畅昵胧"
    "弃栋栖桠杨桨桩枢树朴椭槟柠柜栏钦叹泛泄凉沦涡温沧渗涩浇滤浏濒潇滩"
)


def normalised_codes(texts: Sequence[str]) -> Codes:
    """Return the code points of ``texts``, normalised and joined with 0 between them.

    NFKD and case folding, accents and vowel marks removed, look-alike letters unified, links and
    mentions masked, digits inside words read as letters, other digits as 0, punctuation as one
    space, a letter at most twice in a row. Any string will do, lone surrogates too.
    """
    joined = _SEPARATOR.join(t[:MAX_CHARACTERS].replace(_SEPARATOR, " ") for t in texts)
    joined = _MENTION.sub("@", _URL.sub(" ⌁ ", joined))
    folded = unicodedata.normalize("NFKD", joined).casefold()
    codes = np.frombuffer(folded.encode("utf-32-le", "surrogatepass"), np.uint32)
    codes = _letter_map()[codes]
    codes, classes = _unmask_letters(codes, _character_classes()[codes])
    keep = (classes != _DELETED) | (codes == 0)
    codes, classes = codes[keep], classes[keep]
    codes = np.where((classes == _GAP) & (codes != 0), np.uint32(SPACE), codes)
    return codes[~_repeated(codes, classes)]


def _unmask_letters(codes: Codes, classes: NDArray[np.uint8]) -> tuple[Codes, NDArray[np.uint8]]:
    """Read digits and signs between two ASCII letters as letters, and all other digits as 0."""
    digit = (codes >= ord("0")) & (codes <= ord("9"))
    letter = (classes == _WORD) & ~digit & (codes < 128) & (codes != ord("*"))
    meant = _leet_map()[codes]
    between = np.zeros(len(codes), bool)
    between[1:-1] = letter[:-2] & letter[2:] & (meant[1:-1] > 0)
    codes = np.where(digit, np.uint32(ord("0")), codes)
    return np.where(between, meant, codes), np.where(between, np.uint8(_WORD), classes)


def _repeated(codes: Codes, classes: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Mark what repeats: from the third of a letter, from the second of anything else."""
    second = np.zeros(len(codes), bool)
    second[1:] = codes[1:] == codes[:-1]
    third = second.copy()
    third[1:] &= second[:-1]
    lettered = (classes == _WORD) & (codes != ord("0")) & (codes != ord("*"))
    marked: NDArray[np.bool_] = np.where(lettered, third, second) & (codes != 0)
    return marked


@cache
def _character_classes() -> NDArray[np.uint8]:
    """Return the class of every code point: gap, word character, symbol or deleted."""
    classes = np.zeros(0x110000, np.uint8)
    for point in range(0x30000):
        category = unicodedata.category(chr(point))
        kind = _CLASS_OF_CATEGORY.get(category, _CLASS_OF_CATEGORY.get(category[0], _GAP))
        classes[point] = kind
    for start, stop in _DELETED_RANGES:
        classes[start:stop] = _DELETED
    classes[[ord(character) for character in _DELETED_CHARACTERS]] = _DELETED
    classes[ord("*")] = _WORD
    return classes


@cache
def _letter_map() -> Codes:
    """Return the code point that each code point is read as."""
    letters = np.arange(0x110000, dtype=np.uint32)
    for sources, targets in (_SAME_LETTER, (_TRADITIONAL, _SIMPLIFIED)):
        for source, target in zip(sources, targets, strict=True):
            letters[ord(source)] = ord(target)
    return letters


@cache
def _leet_map() -> Codes:
    """Return the letter that an ASCII digit or sign stands for inside a word, or 0."""
    table = np.zeros(0x110000, np.uint32)
    for sign, letter in _LEET.items():
        table[ord(sign)] = ord(letter)
    return table
