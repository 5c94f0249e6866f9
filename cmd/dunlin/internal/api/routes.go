package api

import (
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/scan"
	"github.com/dunlin-mqtt/dunlin/sensors"
)

// route is one row of the table.
type route struct {
	method, path string // * stands for one level of the path
	role         role
	summary      string
	query        string // names of the arguments, with commas between
	// answer has the type of the document; nil: none, or no JSON.
	answer any
	do     func(*call) (any, error)
}

// table is everything the API does.
var table []route

// The table names functions that read it: openapi.go and route.
func init() {
	table = []route{
		{"GET", "/livez", open, "200 while the broker answers", "", nil, livez},
		{"GET", "/readyz", open, "200 while the gateway serves; bridges and devices count if include names them, as bridge:cloud,device:room", "verbose,include", nil, readyz},
		{"GET", "/healthz", open, "as /readyz", "verbose,include", nil, readyz},
		{"GET", "/metrics", viewer, "metrics as Prometheus reads them; open unless http.metrics says otherwise", "", nil, metrics},
		{"GET", "/api/v1/openapi.json", open, "this document", "", nil, openAPI},
		{"GET", "/api/v1/version", open, "the program", "", Build{}, version},
		{"GET", "/api/v1/session", open, "who is asking", "", Session{}, session},
		{"POST", "/api/v1/login", open, "log in at the page: user and password, or a token as password; the answer sets a cookie", "", Session{}, enter},
		{"POST", "/api/v1/logout", open, "end the login", "", nil, leave},
		{"GET", "/api/v1/status", viewer, "the gateway on one page", "", Status{}, status},
		{"GET", "/api/v1/events", viewer, "the status each second, as server-sent events; with changes=true whole first, then without devices and bridges that are as before, but older, and with attention null if it is the same", "changes", nil, events},
		{"GET", "/api/v1/clients", viewer, "sessions by Client Identifier; state is connected or offline", "q,state,limit,cursor", Clients{}, clients},
		{"GET", "/api/v1/clients/*", viewer, "one session, and the last events of the client", "", Client{}, oneClient},
		{"DELETE", "/api/v1/clients/*", admin, "end a client's connection; with session=true also its session, with all that waits in it", "session", nil, kick},
		{"GET", "/api/v1/bans", viewer, "who is kept out, and for how long still", "", []Ban(nil), bans},
		{"POST", "/api/v1/bans", admin, "keep out for so many seconds who matches all that is named, until a restart; connections of theirs end", "client,user,address,for", nil, ban},
		{"DELETE", "/api/v1/bans", admin, "end a ban", "client,user,address", nil, unban},
		{"GET", "/api/v1/trace", admin, "what a client does, or what is published on topics of a filter, as server-sent events for five minutes; no payloads", "client,filter", nil, trace},
		{"GET", "/api/v1/topics", viewer, "retained topics, one level at a time", "prefix,limit,cursor", Topics{}, topics},
		{"GET", "/api/v1/topic", viewer, "one retained message", "topic", Message{}, oneTopic},
		{"GET", "/api/v1/watch", viewer, "messages as they are published, as server-sent events; many of a topic at once are thinned", "filter", nil, watch},
		{"POST", "/api/v1/publish", admin, "publish a message: topic, payload or payload_b64, qos, retain", "", nil, publish},
		{"DELETE", "/api/v1/retained", admin, "clear the retained messages that a filter matches", "filter,dry_run", Cleared{}, clearRetained},
		{"GET", "/api/v1/backup", admin, "everything that is kept, for 'dunlin restore'; it holds payloads", "", nil, backup},
		{"POST", "/api/v1/update", admin, "install the update file in the body, on a machine with dunlin's image, which restarts to try it; downgrade=true for an older one", "downgrade", Updated{}, takeUpdate},
		{"GET", "/api/v1/update", viewer, "what runs there, and what became of the last update", "", Updated{}, takeUpdate},
		{"POST", "/api/v1/reload", admin, "carry out the configuration anew; all of it or, with a mistake, nothing", "dry_run", Reload{}, reload},
		{"GET", "/api/v1/history", viewer, "numbers of the recent past whose names begin with one of series, with commas between; span in seconds", "series,span,points", History{}, pastSeries},
		{"GET", "/api/v1/logs", viewer, "the newest lines of the log", "level,part,q,after,limit", Logs{}, logs},
		{"GET", "/api/v1/config", viewer, "every setting that is carried out; secrets are ***", "", Settings{}, settings},
		{"POST", "/api/v1/config/check", admin, "the mistakes of the configuration in the body", "", Checked{}, checkText},
		{"GET", "/api/v1/doctor", admin, "what is wrong with the configuration, the machine and the gateway, why it matters and what cures it", "", Diagnosis{}, diagnose},
		{"POST", "/api/v1/scan", admin, "look for hardware that can be read, as 'dunlin scan' does; takes seconds on a bus that hangs", "bus,all", scan.Report{}, scanHardware},
		{"GET", "/api/v1/devices", viewer, "devices of this gateway", "", []Device(nil), devices},
		{"GET", "/api/v1/devices/*", viewer, "one device", "", Device{}, oneDevice},
		{"POST", "/api/v1/devices/*/read", admin, "read a device at once, or try to open it", "", nil, askDevice(sensors.ReadNow)},
		{"POST", "/api/v1/devices/*/pause", admin, "close a device until resume: it is offline with the reason paused", "", nil, askDevice(sensors.Pause)},
		{"POST", "/api/v1/devices/*/resume", admin, "open it again", "", nil, askDevice(sensors.Resume)},
		{"GET", "/api/v1/bridges", viewer, "links to other servers", "", []Bridge(nil), bridges},

		{"GET", "/api/v1/bridges/*", viewer, "one link", "", Bridge{}, onBridge(oneBridge)},
		{"POST", "/api/v1/bridges/*/test", admin, "try the way to the server as another client; takes up to 45 s a server", "", Probe{}, onBridge(testBridge)},
		{"POST", "/api/v1/bridges/*/reconnect", admin, "end the link and connect anew at once, as after a repair", "", nil, onBridge(reconnectBridge)},
		{"POST", "/api/v1/bridges/*/pause", admin, "send nothing until resume; the link stays up", "", nil, onBridge(pauseBridge)},
		{"POST", "/api/v1/bridges/*/resume", admin, "send again", "", nil, onBridge(resumeBridge)},
		{"GET", "/api/v1/bridges/*/spool", admin, "what waits, in the order of sending", "limit,cursor", Letters{}, listLetters(false)},
		{"GET", "/api/v1/bridges/*/spool/messages", admin, "the same whole, one JSON object a line; since is in seconds", "since", nil, exportLetters(false)},
		{"POST", "/api/v1/bridges/*/spool/drain", admin, "send what waited at so many messages a second until nothing waits; 0: at the bridge's own speed", "rate", Drained{}, onBridge(drainSpool)},
		{"DELETE", "/api/v1/bridges/*/spool", admin, "delete what waits and was never sent; older is in seconds", "older,dry_run", Counted{}, purgeLetters(false)},
		{"GET", "/api/v1/bridges/*/dead", admin, "messages that were given up, oldest first", "limit,cursor", Letters{}, listLetters(true)},
		{"GET", "/api/v1/bridges/*/dead/messages", admin, "the same whole, one JSON object a line; since is in seconds", "since", nil, exportLetters(true)},
		{"GET", "/api/v1/bridges/*/dead/message", admin, "one of them, whole", "seq", Letter{}, onBridge(oneDead)},
		{"POST", "/api/v1/bridges/*/dead/requeue", admin, "queue one of them again; all of them with seq=all", "seq", Counted{}, onBridge(requeueDead)},
		{"DELETE", "/api/v1/bridges/*/dead", admin, "delete them; older is in seconds", "older,dry_run", Counted{}, purgeLetters(true)},
	}
}
