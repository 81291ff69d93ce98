"""Judges what a running weir keeps in MongoDB as a user of Ant Media would: with pymongo, by name and type.

    judge.py MONGO_URI HTTP_BASE

Needs a weir with db.type=mongodb whose store nobody has written to before, seen at HTTP_BASE from an address that may
use its REST, and an encoder that publishes "pushed" and, when this says PUBLISH, "cam1". Ends with 1 at the first thing
that is not as it should be, and says which. Called by the house test `mongo_layout`.
"""

import datetime
import http.cookiejar
import json
import sys
import time
import urllib.error
import urllib.request

import bson
import pymongo
from layout import CLASSES, LAYOUT, OURS, OWN

URI, BASE = sys.argv[1:3]
DEADLINE_S = 60
MD5 = "5ebe2294ecd0e0f08eab7690d2a6ee69"
mongo = pymongo.MongoClient(URI, directConnection=True, serverSelectionTimeoutMS=10_000)
jar = http.cookiejar.CookieJar()
web = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))


def fail(text):
    sys.exit(f"judge: {text}")


def rest(method, path, body=None, status=200):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(BASE + path, data, {"Content-Type": "application/json"}, method=method)
    try:
        answer = web.open(request, timeout=DEADLINE_S)
    except urllib.error.HTTPError as refused:
        answer = refused
    text = answer.read().decode()
    if answer.status != status:
        fail(f"{method} {path}: {answer.status} instead of {status}: {text[:500]}")
    return json.loads(text) if text else None


def done(method, path, body=None):
    answer = rest(method, path, body)
    if not answer["success"]:
        fail(f"{method} {path}: {answer}")


def wait(what, look):
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.1)
    fail(f"not in time: {what}")


def type_of(value):
    # A bool is an int to Python, a 64-bit number a subclass of one.
    names = [(bool, "bool"), (bson.Int64, "long"), (int, "int"), (float, "double"), (str, "str"), (list, "list"),
             (dict, "object"), (datetime.datetime, "date"), (bson.ObjectId, "oid"), (type(None), "null")]
    return next((name for kind, name in names if isinstance(value, kind)), type(value).__name__)


def judge(place, document, needed=()):
    """Each field of a document that weir wrote is in the table, with a type that is there, and `needed` are there."""
    table, _, _ = LAYOUT[place]
    theirs = {**table, **OURS.get(place, {})}
    where = ".".join(place)
    for name, value in document.items():
        if name not in theirs:
            fail(f"{where}.{name}: no such field of Ant Media's ({value!r})")
        kind, allowed = type_of(value), theirs[name]
        if kind not in allowed and not (kind == "long" and "int" in allowed):
            fail(f"{where}.{name}: {kind} instead of {' or '.join(sorted(allowed))} ({value!r})")
    for name in ["_id", "_t", *needed]:
        if name not in document:
            fail(f"{where}.{name}: missing in {document}")
    if document["_t"] != CLASSES[place[1]]:
        fail(f"{where}._t: {document['_t']}")


def one(place, **wanted):
    database, collection = place
    return mongo[database][collection].find_one(wanted)


BROADCAST, TOKEN = ("liveapp", "broadcast"), ("liveapp_token", "token")
SUBSCRIBER, VOD = ("liveapp_subscriber", "subscriber"), ("liveappVoD", "vod")
NODE, SETTINGS, USER = ("clusterdb", "clusternode"), ("clusterdb", "AppSettings"), ("serverdb", "user")
EVENT, LIVE = ("liveapp", "ConnectionEvent"), "/LiveApp/rest/v2/broadcasts"


def what_weir_writes():
    user = {"email": "admin@example.com", "password": MD5}
    done("POST", "/rest/v2/users/initial", user)
    done("POST", "/rest/v2/users/authenticate", user)
    document = one(USER, email=user["email"])
    judge(USER, document, ["password", "userType", "scope"])
    if document["password"] == MD5 or not document["password"].startswith("$argon2id$"):
        fail("serverdb.user.password: not argon2id")

    done("POST", "/rest/v2/applications/shop")
    done("POST", "/rest/v2/applications/settings/shop", {"hlsTime": "4", "maxFpsAccept": 30})
    document = one(SETTINGS, appName="shop")
    table = LAYOUT[SETTINGS][0]
    for name in set(document) - set(table):
        # The table has what operators use; its other fields must still be plain.
        if type_of(document.pop(name)) not in ("str", "bool", "long", "double", "object"):
            fail(f"clusterdb.AppSettings.{name}: an odd type")
    judge(SETTINGS, document, set(table) - {"toBeDeleted"})
    if (document["hlsTime"], document["maxFpsAccept"]) != ("4", 30):
        fail(f"clusterdb.AppSettings: {document['hlsTime']} {document['maxFpsAccept']}")
    judge(SETTINGS, one(SETTINGS, appName="LiveApp"))

    made = rest("POST", LIVE + "/create", {
        "streamId": "cam1", "name": "Camera 1", "plannedEndDate": 4_000_000_000, "hlsViewerLimit": 5, "is360": True,
        "latitude": "1.5", "hlsParameters": {"hlsTime": "2"}, "playListItemList": [{"streamUrl": "http://x/y"}],
    })
    judge(BROADCAST, one(BROADCAST, streamId="cam1"), ["status", "type", "name", "date", "zombi", "publish"])
    if one(BROADCAST, streamId="cam1")["date"] != made["date"]:
        fail("liveapp.broadcast.date is not what REST told")
    token = rest("GET", LIVE + "/cam1/token?expireDate=4000000000&type=play")
    judge(TOKEN, one(TOKEN, tokenId=token["tokenId"]), LAYOUT[TOKEN][0])
    done("POST", LIVE + "/cam1/subscribers", {"subscriberId": "anna", "type": "play", "b32Secret": "GEZDGNBVGY3TQOJQ"})
    done("PUT", LIVE + "/cam1/subscribers/anna/block/60/play")
    judge(SUBSCRIBER, one(SUBSCRIBER, subscriberId="anna"), LAYOUT[SUBSCRIBER][0])


def what_a_publisher_writes():
    figures = ["speed", "bitrate", "receivedBytes", "width", "height", "duration", "startTime", "updateTime"]
    needed = [*figures, "originAdress", "publishType", "remoteIp", "userAgent", "zombi", "type", "publish"]
    live = {"status": "broadcasting", "type": "liveStream", "publishType": "RTMP", "originAdress": "127.0.0.1"}
    print("PUBLISH", flush=True)
    for stream, zombi in [("pushed", True), ("cam1", False)]:
        wanted = {"streamId": stream, "zombi": zombi, "publish": True, "speed": {"$gt": 0.0}, "width": {"$gt": 0}, **live}
        found = wait(f"{stream} as {wanted}, not {one(BROADCAST, streamId=stream)}", lambda: one(BROADCAST, **wanted))
        judge(BROADCAST, found, needed)
        told = rest("GET", f"{LIVE}/{stream}")
        if told["originAdress"] != "127.0.0.1" or "_t" in told or "weirOrigin" in told:
            fail(f"REST of {stream}: {told}")
    if one(BROADCAST, streamId="cam1")["name"] != "Camera 1":
        fail("cam1 lost its name by being published")
    node = wait("a node with streams", lambda: one(NODE, streams=2))
    judge(NODE, node, LAYOUT[NODE][0])
    used, total = map(int, node["memory"].split("/"))
    if not (0 < used < total and 0 <= node["cpu"] <= 100):
        fail(f"clusterdb.clusternode: {node}")


def where_it_is():
    for (database, collection), (_, unique, plain) in LAYOUT.items():
        where = f"{database}.{collection}"
        found = wait(f"{where} with its indexes", lambda: has_indexes(database, collection, unique, plain))
        for name, keys in unique.items():
            index = found[name]
            if [key for key, _ in index["key"]] != keys.split() or not index.get("unique"):
                fail(f"{where}: index {name} is {index}")
    for database in mongo.list_database_names():
        known = {collection for where, collection in LAYOUT if where == database} | OWN.get(database, set())
        for collection in mongo[database].list_collection_names():
            if database in ("clusterdb", "serverdb", "liveapp") and collection not in known:
                fail(f"{database}.{collection}: no such collection")


def has_indexes(database, collection, unique, plain):
    found = mongo[database][collection].index_information()
    keys = [[key for key, _ in index["key"]] for index in found.values()]
    return found if set(unique) <= set(found) and all([field] in keys for field in plain) else None


def what_ant_media_wrote():
    mongo.liveapp.broadcast.insert_many([
        {"_t": "Broadcast", "streamId": "theirs", "status": "finished", "type": "liveStream", "publishType": "WebRTC",
         "name": "Theirs", "publish": True, "date": bson.Int64(7), "speed": 1.0, "width": 1280, "zombi": False,
         "hlsViewerLimit": -1, "originAdress": "10.0.0.9", "endPointList": [{"_t": "Endpoint", "endpointUrl": "rtmp://x/y"}],
         "metaData": "{}", "theirNewField": {"deep": [1, {"er": bson.Decimal128("1.5")}]}, "blob": b"\x00\xff",
         "since": datetime.datetime(2026, 1, 1)},
        {"streamId": "odd", "status": 5, "type": ["a"], "name": 7, "width": "wide", "height": -1, "date": "yesterday",
         "updateTime": datetime.datetime(2026, 1, 1), "speed": float("nan"), "zombi": "no", "endPointList": "none",
         "hlsParameters": 3, "owner": "nobody", "weirCheckpoint": 1, "weirOrigin": [], "originAdress": {"a": 1},
         "bitrate": float("inf"), "startTime": bson.Int64(-(2**63)), "playListItemList": [None, 3, "x"]},
        {"streamId": "bare"},
        {"streamId": 5, "name": "a number for an id"}, {},
    ])
    mongo.liveappVoD.vod.insert_many([
        {"_t": "VoD", "vodId": "v1", "vodName": "cam.mp4", "streamId": "theirs", "duration": bson.Int64(5), "theirs": 1},
        {"vodId": "v2", "fileSize": "big", "creationDate": None, "streamName": 3}, {"vodId": 7}, {},
    ])
    mongo.liveapp_token.token.insert_many([
        {"_t": "Token", "tokenId": "t1", "streamId": "theirs", "type": "play", "expireDate": bson.Int64(4_000_000_000)},
        {"tokenId": "t2", "streamId": "theirs", "expireDate": "never", "type": 4},
    ])
    mongo.liveapp_subscriber.subscriber.insert_many([
        {"_t": "Subscriber", "subscriberId": "berta", "streamId": "theirs", "type": "play", "connected": False},
        {"subscriberId": "odd", "streamId": "theirs", "concurrentConnectionsLimit": "many", "b32Secret": 1},
    ])
    mongo.liveapp.ConnectionEvent.insert_one(
        {"_t": "ConnectionEvent", "streamId": "theirs", "subscriberId": "berta", "timestamp": bson.Int64(3),
         "eventType": "connected", "instanceIP": "10.0.0.9", "type": "play", "eventProtocol": "hls"})
    mongo.serverdb.user.insert_many([
        {"_t": "User", "email": "old@example.com", "password": MD5, "userType": "ADMIN", "scope": "system"},
        {"email": "odd@example.com", "password": 5, "userType": 3, "appNameUserType": "x"},
    ])
    mongo.clusterdb.AppSettings.insert_many([
        {"_t": "AppSettings", "appName": "Shop2", "hlsTime": "7", "hlsListSize": "9", "maxFpsAccept": 25,
         "updateTime": bson.Int64(9), "theirSetting": True, "remoteAllowedCIDR": "127.0.0.1"},
        {"appName": "odd", "hlsTime": {"a": 1}, "hlsListSize": "many", "jwtControlEnabled": "perhaps", "gopSize": 1e300},
        {"appName": 7}, {"appName": "../x"}, {},
    ])
    mongo.clusterdb.clusternode.insert_many([
        {"_id": "theirs", "_t": "ClusterNode", "ip": "10.0.0.9", "lastUpdateTime": bson.Int64(1), "memory": "1/2",
         "cpu": "12", "dbQueryAveargeTimeMs": 3},
        {"_id": "odd", "ip": 5, "lastUpdateTime": "now", "viewers": 3, "role": "king", "streams": -1}, {"_id": 9},
    ])


def what_is_read():
    theirs = rest("GET", LIVE + "/theirs")
    expected = {"name": "Theirs", "publishType": "WebRTC", "date": 7, "width": 1280, "originAdress": "10.0.0.9",
                "hlsViewerLimit": -1, "theirNewField": {"deep": [1, {"er": 1.5}]}}
    got = {name: theirs.get(name) for name in expected}
    if got != expected or "_t" in theirs or "_id" in theirs:
        fail(f"REST of a stream of Ant Media's: {theirs}")
    odd = rest("GET", LIVE + "/odd")
    if (odd["width"], odd["date"], odd["zombi"], odd["endPointList"]) != (0, 0, False, None):
        fail(f"REST of an odd stream: {odd}")
    if rest("GET", LIVE + "/bare")["status"] != "created":
        fail("a stream of one field reads as something else than created")
    before = one(BROADCAST, streamId="theirs")
    done("PUT", LIVE + "/theirs", {"name": "Renamed", "description": "ours"})
    if one(BROADCAST, streamId="theirs") != {**before, "name": "Renamed", "description": "ours"}:
        fail(f"an update changed more than it said: {before} to {one(BROADCAST, streamId='theirs')}")
    done("PUT", LIVE + "/odd", {"name": "odd no more"})
    if len(rest("GET", LIVE + "/list/0/50?sort_by=date&order_by=desc")) < 5 or rest("GET", LIVE + "/count")["number"] < 5:
        fail("a list without the odd ones")
    rest("GET", LIVE + "/list/0/50?search=ODD&type_by=liveStream")
    if rest("GET", "/LiveApp/rest/v2/vods/v1")["duration"] != 5 or len(rest("GET", "/LiveApp/rest/v2/vods/list/0/9")) < 2:
        fail("recordings of Ant Media's are not read")
    rest("GET", "/LiveApp/rest/v2/vods/v2")
    done("POST", LIVE + "/validate-token", {"tokenId": "t1", "streamId": "theirs", "type": "play"})
    if len(rest("GET", LIVE + "/theirs/tokens/list/0/9")) != 1 or one(TOKEN, tokenId="t1"):
        fail("a token of Ant Media's is not spent once")
    names = [it["subscriberId"] for it in rest("GET", LIVE + "/theirs/subscribers/list/0/9")]
    if names != ["berta", "odd"]:
        fail(f"subscribers: {names}")
    event = rest("GET", LIVE + "/theirs/connection-events/0/9")[0]
    if (event["instanceIP"], event["timestamp"]) != ("10.0.0.9", 3):
        fail(f"connection event: {event}")
    nodes = {it["id"]: it for it in rest("GET", "/rest/v2/cluster/nodes/0/50")}
    if (nodes["theirs"]["status"], nodes["theirs"]["cpu"]) != ("dead", "12") or nodes["odd"]["status"] != "dead":
        fail(f"nodes: {nodes}")
    done("POST", "/rest/v2/users/authenticate", {"email": "old@example.com", "password": MD5})
    if not one(USER, email="old@example.com")["password"].startswith("$argon2id$"):
        fail("the MD5 of a user of Ant Media's stays after a login")
    if rest("POST", "/rest/v2/users/authenticate", {"email": "odd@example.com", "password": "5"})["success"]:
        fail("a user without a password may log in")


def what_settings_do():
    wait("applications of Ant Media's", lambda: "Shop2" in rest("GET", "/rest/v2/applications")["applications"])
    settings = rest("GET", "/rest/v2/applications/settings/Shop2")
    if (settings["hlsTime"], settings["maxFpsAccept"], settings["theirSetting"]) != ("7", 25, True):
        fail(f"settings of Ant Media's: {settings}")
    if rest("GET", "/rest/v2/applications/settings/odd")["hlsTime"] != "2":
        fail("an odd setting does not count as not set")
    done("POST", "/rest/v2/applications/settings/Shop2", {**settings, "hlsTime": "3"})
    document = one(SETTINGS, appName="Shop2")
    if (document["hlsTime"], document["theirSetting"], document["_t"]) != ("3", True, "AppSettings"):
        fail(f"settings of Ant Media's after a change: {document}")


for step in [what_weir_writes, what_a_publisher_writes, where_it_is, what_ant_media_wrote, what_is_read, what_settings_do]:
    step()
    print(f"judge: {step.__name__} ok", flush=True)
