package api

import "github.com/dunlin-mqtt/dunlin/sensors"

// route is one row of the table.
type route struct {
	method, path string // * stands for one level of the path
	role         role
	query        string // names of the arguments, with commas between
	do           func(*call) (any, error)
}

// table is everything the API does. What each row is for, and what it answers, is
// in the OpenAPI document: described of openapi_test.go.
var table = [...]route{
	{"GET", "/livez", open, "", livez},
	{"GET", "/readyz", open, "verbose,include", readyz},
	{"GET", "/healthz", open, "verbose,include", readyz},
	{"GET", "/metrics", viewer, "", metrics},
	{"GET", "/api/v1/openapi.json", open, "", openAPI},
	{"GET", "/api/v1/version", open, "", version},
	{"GET", "/api/v1/session", open, "", session},
	{"POST", "/api/v1/login", open, "", enter},
	{"POST", "/api/v1/logout", open, "", leave},
	{"GET", "/api/v1/status", viewer, "", status},
	{"GET", "/api/v1/events", viewer, "changes", events},
	{"GET", "/api/v1/clients", viewer, "q,state,local,limit,cursor", clients},
	{"GET", "/api/v1/clients/*", viewer, "", oneClient},
	{"DELETE", "/api/v1/clients/*", admin, "session", kick},
	{"GET", "/api/v1/bans", viewer, "", bans},
	{"POST", "/api/v1/bans", admin, "client,user,address,for", ban},
	{"DELETE", "/api/v1/bans", admin, "client,user,address", unban},
	{"GET", "/api/v1/trace", admin, "client,filter", trace},
	{"GET", "/api/v1/topics", viewer, "prefix,limit,cursor", topics},
	{"GET", "/api/v1/topic", viewer, "topic", oneTopic},
	{"GET", "/api/v1/watch", viewer, "filter", watch},
	{"POST", "/api/v1/publish", admin, "", publish},
	{"DELETE", "/api/v1/retained", admin, "filter,dry_run", clearRetained},
	{"GET", "/api/v1/backup", admin, "", backup},
	{"POST", "/api/v1/update", admin, "downgrade", takeUpdate},
	{"GET", "/api/v1/update", viewer, "", takeUpdate},
	{"POST", "/api/v1/reload", admin, "dry_run", reload},
	{"GET", "/api/v1/history", viewer, "series,span,points", pastSeries},
	{"GET", "/api/v1/logs", viewer, "level,part,q,after,limit", logs},
	{"GET", "/api/v1/config", viewer, "", settings},
	{"POST", "/api/v1/config/check", admin, "", checkText},
	{"GET", "/api/v1/doctor", admin, "", diagnose},
	{"POST", "/api/v1/scan", admin, "bus,all", scanHardware},
	{"GET", "/api/v1/devices", viewer, "", devices},
	{"GET", "/api/v1/devices/*", viewer, "", oneDevice},
	{"POST", "/api/v1/devices/*/read", admin, "", askDevice(sensors.ReadNow)},
	{"POST", "/api/v1/devices/*/pause", admin, "", askDevice(sensors.Pause)},
	{"POST", "/api/v1/devices/*/resume", admin, "", askDevice(sensors.Resume)},
	{"GET", "/api/v1/bridges", viewer, "", bridges},

	{"GET", "/api/v1/bridges/*", viewer, "", onBridge(oneBridge)},
	{"POST", "/api/v1/bridges/*/test", admin, "", onBridge(testBridge)},
	{"POST", "/api/v1/bridges/*/reconnect", admin, "", onBridge(reconnectBridge)},
	{"POST", "/api/v1/bridges/*/pause", admin, "", onBridge(pauseBridge)},
	{"POST", "/api/v1/bridges/*/resume", admin, "", onBridge(resumeBridge)},
	{"GET", "/api/v1/bridges/*/spool", admin, "limit,cursor", listLetters(false)},
	{"GET", "/api/v1/bridges/*/spool/messages", admin, "since", exportLetters(false)},
	{"POST", "/api/v1/bridges/*/spool/drain", admin, "rate", onBridge(drainSpool)},
	{"DELETE", "/api/v1/bridges/*/spool", admin, "older,dry_run", purgeLetters(false)},
	{"GET", "/api/v1/bridges/*/dead", admin, "limit,cursor", listLetters(true)},
	{"GET", "/api/v1/bridges/*/dead/messages", admin, "since", exportLetters(true)},
	{"GET", "/api/v1/bridges/*/dead/message", admin, "seq", onBridge(oneDead)},
	{"POST", "/api/v1/bridges/*/dead/requeue", admin, "seq", onBridge(requeueDead)},
	{"DELETE", "/api/v1/bridges/*/dead", admin, "older,dry_run", purgeLetters(true)},
}
