"""Usual names of columns, roles and languages: what layouts are guessed by.

In English and Chinese, and the commonest in German, French, Spanish and Portuguese (without their accents).
"""

from __future__ import annotations

from collections.abc import Mapping

#: Usual names, most telling first, compared after `normal_name`.
NAMES: Mapping[str, tuple[str, ...]] = {
    "question": tuple(
        (
            "ticketdescription question questions term prompt instruction query user human customer "
            "input q request "
            "source context customermessage userinput usermessage ask 问 问题 提问 用户 "
            "用户输入 客户 输入 指令 問 問題 用戶 "
            "frage kundenfrage pregunta pergunta customerquestion customerissue customerquery "
            "issuedescription "
            "problemdescription 问题描述 客户问题 咨询内容 问题内容 "
            "issue problem complaint inquiry enquiry demande anfrage consulta"
        ).split()
    ),
    "answer": tuple(
        (
            "answer answers definition response reply output completion assistant bot agent a target "
            "publicreply firstreply agentmessage agentreply botresponse chosen resolution solution "
            "canonicalsolution code program answertext bestanswer "
            "chatgptanswers humananswers "
            "答 回答 答案 回复 答复 助手 输出 客服 "
            "回覆 agentresponse agentanswer supportreply supportresponse staffreply staffresponse "
            "resolutionnotes "
            "latestcomment lastcomment agentcomment antwort respuesta reponse resposta losung "
            "solucion solucao "
            "处理结果 解决方案 客服回复 回复内容"
        ).split()
    ),
    "text": tuple(
        (
            "text sentencegood 回复内容 message msg content body utterance sentence tweet review "
            "comment processedtext "
            "post 文本 内容 消息 正文 评论 句子 消息内容 內容 訊息 "
            "messagetext textcontent strcontent reviewtext sentencetext passage paragraph article "
            "paragraphs contents transcript lyrics overview plot "
            "abstract summary description story document title 标题 headline "
            "nachricht mensaje mensagem texte texto inhalt contenu contenido conteudo kommentar "
            "commentaire comentario "
            "beschreibung descripcion descricao"
        ).split()
    ),
    "label": tuple(
        (
            "intent label labels accept category class cats scores sentiment topic goldlabel "
            "classindex stars rating "
            "overall overallrating score reviewscore "
            "reviewerscore airlinesentiment emotion emotions sentimentlabel clickbait "
            "标签 类别 意图 分类 標籤 评分 kategorie categorie categoria etiqueta"
        ).split()
    ),
    "conversation": tuple(
        (
            "casenumber caseno numerodochamado iddelticket nduticket 工单id conversationid "
            "conversation convid dialogid dialogueid dialogue dialog threadid "
            "thread sessionid session ticketid ticket caseid chatid chat 会话 会话id 对话 对话id "
            "会话编号 对话编号 ticketno ticketnumber ticketnummer 工单号 工单编号"
        ).split()
    ),
    "chat": tuple(
        (
            "roomname room roomid chatname channel channelname channelid group groupname 群名 群聊 聊天对象"
        ).split()
    ),
    "message_id": tuple("messageid msgid tweetid id 消息id 编号 msgsvrid localid".split()),
    "reply_to": tuple(
        (
            "inresponsetotweetid inreplytotweetid inresponseto inreplyto inreplytoid replyto "
            "replytoid parentid parent 回复id 回复对象"
        ).split()
    ),
    "speaker": tuple(
        (
            "回复人 speaker role sender author authorid from fromname name username nick talker who "
            "发送者 发送人 说话人 角色 昵称 發送者 fromuser senderid sendername "
            "authorname userid speakeridx speakerid owneruserid user 发言人 发送方 absender "
            "remitente remetente "
            "expediteur autor auteur"
        ).split()
    ),
    "direction": tuple("inbound isinbound direction issender outbound fromme 方向".split()),
    "time": tuple(
        (
            "created createddate createdon creationdate commentcreatedat messagecreatedat "
            "erstelltam datedecreation datadecriacao "
            "fechadecreacion 创建时间 消息时间 回复时间 "
            "time timestamp createdat createtime datetime date senttime sentat 时间 日期 "
            "发送时间 時間 createdtime messagetime dateutc unixtime ts sentdate datum zeit "
            "zeitpunkt fecha hora heure"
        ).split()
    ),
    "type": tuple("typename type msgtype messagetype kind 类型 消息类型".split()),
    "title": tuple(
        (
            "ticketsubject title headline subject heading 标题 題目 题目 主题 "
            "betreff asunto sujet objet assunto titel titulo titre"
        ).split()
    ),
}

#: Words for a speaker or a direction that settle the role without asking.
USER_WORDS = frozenset(
    "user usr customer client human visitor guest inbound incoming in received question buyer caller "
    "patient student kunde kundin cliente usuario utilisateur nutzer 用户 客户 顾客 买家 问 访客 "
    "學生".split()
)
ASSISTANT_WORDS = frozenset(
    "assistant agent bot sys wizard support rep representative operator staff system_bot outbound outgoing "
    "out sent answer seller gpt chatgpt ai model agente mitarbeiter mitarbeiterin conseiller "
    "atendente soporte "
    "suporte 助手 客服 机器人 卖家 答 店家".split()
)

#: Columns beside a name that say what somebody is, folded, and words there for a customer and for who answers them.
ROLE_COLUMNS = frozenset(
    "sendertype authortype usertype fromtype actortype participanttype speakertype creatortype "
    "senderrole authorrole "
    "userrole speakerrole participantrole role rolle rol absendertyp tipoderemitente tipodeautor "
    "typedauteur papel 回复人类型 发送者类型 发送人类型 身份 角色".split()
)
ROLE_USERS = USER_WORDS | {
    "end-user",
    "end user",
    "enduser",
    "end_user",
    "endkunde",
    "visitor",
    "external",
    "submitter",
    "提交人",
    "访客",
    "contact",
    "requester",
    "lead",
    "shopper",
    "subscriber",
}
ROLE_ASSISTANTS = ASSISTANT_WORDS | {
    "admin",
    "administrator",
    "employee",
    "advisor",
    "team",
    "teammate",
    "human agent",
    "technician",
    "light_agent",
    "light agent",
    "team member",
    "team_member",
    "internal",
    "处理人",
    "坐席",
    "人工客服",
    "工程师",
}
#: Columns that say whether a message is one among colleagues: by which values it is.
YES = frozenset("true 1 yes t y 1.0 x 是 ja oui si sim".split())
NO = frozenset("false 0 no f n 0.0 否 nein non nao não".split())
NOTE_WORDS = frozenset(
    "note|notes|internal|private|internal-note|internal_note|internalnote|internal "
    "note|private_note|privatenote|"
    "private note|内部|内部备注|备注|interno|intern|interne|privado|privat".split("|")
)
INTERNAL_COLUMNS: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(("public", "ispublic", "customervisible", "是否公开", "公开"), NO),
    **dict.fromkeys(
        (
            "private",
            "isprivate",
            "internal",
            "isinternal",
            "isnote",
            "internalnote",
            "isinternalnote",
            "note",
            "intern",
            "interno",
            "noteinterne",
            "notainterna",
            "internenotiz",
            "是否内部",
            "内部",
        ),
        YES,
    ),
    **dict.fromkeys(
        (
            "visibility",
            "type",
            "commenttype",
            "messagetype",
            "notetype",
            "kind",
            "parttype",
            "channel",
            "visibilidad",
            "visibilidade",
            "visibilite",
            "sichtbarkeit",
            "消息类型",
        ),
        NOTE_WORDS,
    ),
}

#: Names of languages as columns of a translation table have them, those of one language together.
_LANGUAGES = [
    frozenset(names.split())
    for names in (
        "en eng english enus engb 英文 英语 inglese ingles anglais englisch|zh zhcn zhtw zhhans "
        "zhhant zho cmn chinese "
        "中文 汉语 chino chinois chinesisch|de deu ger german deutsch allemand aleman|fr fra fre "
        "french francais "
        "franzosisch frances|es spa spanish espanol spanisch espagnol|it ita italian italiano|pt "
        "por ptbr portuguese "
        "portugues|ru rus russian русский|"
        "ja jpn japanese 日文 日语 日本語|ko kor korean 韩文 韩语|ar ara arabic|hi hin "
        "hindi|nl nld dutch nederlands|pl pol polish polski|tr tur turkish turkce|vi vie "
        "vietnamese|cs ces czech cesky|"
        "sv swe swedish svenska|da dan danish dansk|fi fin finnish suomi|no nor norwegian norsk|uk "
        "ukr ukrainian|"
        "el ell greek|he heb hebrew|ro ron romanian|hu hun hungarian|id ind indonesian|th tha "
        "thai|fa pes persian|"
        "ca cat catalan|bg bul bulgarian|la lat latin|eo epo esperanto"
    ).split("|")
]
LANGUAGE_NAMES = frozenset().union(*_LANGUAGES) | frozenset("source target src tgt 原文 译文 翻译".split())


def names_of_language(name: str) -> frozenset[str]:
    """Return what a language is called, by its code or any of its names; the name alone if it is "
    "not known."""
    folded = "".join(filter(str.isalnum, name.lower()))
    return next((names for names in _LANGUAGES if folded in names), frozenset((folded,)))


def known_names() -> frozenset[str]:
    """All usual names, folded and as written with underscores or spaces taken out."""
    return frozenset(name for names in NAMES.values() for name in names)
