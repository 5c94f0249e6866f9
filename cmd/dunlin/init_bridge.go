package main

import (
	"fmt"
	"net"
	"strings"
)

// cloudPassword is the file of a bridge's password, beside the configuration.
const cloudPassword = "cloud-password"

// vendor is a kind of server to fill in the address of.
type vendor struct {
	profile string // its name begins with what --bridge says
	server  string
	keys    string // beside servers, profile and out
	route   string // beside from
}

func vendors() []vendor {
	const login = `credentials: {username: "USER", password: "file:` + cloudPassword + `"}`
	return []vendor{
		{"aws-iot", "mqtts://ENDPOINT-ats.iot.REGION.amazonaws.com:8883", "credentials: {cert: aws.pem, key: aws.key}\n    tls: {ca: AmazonRootCA1.pem}", "qos: 1"},
		{"azure-iot-hub", "mqtts://HUB.azure-devices.net:8883", "client_id: DEVICE\n    credentials: {sas: \"file:" + cloudPassword + "\"}",
			`to: "devices/DEVICE/messages/events/", batch: {count: 50, wait: 10s, form: json}`},
		{"azure-event-grid", "mqtts://NAMESPACE.REGION-1.ts.eventgrid.azure.net:8883", "credentials: {username: \"USER\", cert: cloud.pem, key: cloud.key}", "qos: 1"},
		{"hivemq-cloud", "mqtts://CLUSTER.s1.eu.hivemq.cloud:8883", login, "qos: 1"},
		{"emqx-serverless", "mqtts://DEPLOYMENT.ala.REGION.emqxsl.com:8883", login, "qos: 1"},
		{"thingsboard", "mqtts://thingsboard.cloud:8883", "credentials: {username: \"ACCESS-TOKEN\"}\n    envelope: thingsboard", "qos: 1"},
		{"mosquitto", "mqtt://HOST:1883", login, "qos: 1"},
		{"nats", "mqtt://HOST:1883", login, "qos: 1"},
	}
}

// vendorNames are what --bridge takes for them: the first word, unless another
// has the same.
func vendorNames() []string {
	var names []string
	for _, v := range vendors() {
		name, _, _ := strings.Cut(v.profile, "-")
		if len(names) > 0 && names[len(names)-1] == name {
			name = v.profile
		}
		names = append(names, name)
	}
	return names
}

// initialBridge is a bridge to a host, or one to fill in for a vendor; known is
// false for what is neither.
func initialBridge(to string) (text string, known bool) {
	if to == "" {
		return "", true
	}
	for n, name := range vendorNames() {
		v := vendors()[n]
		if to != name && to != v.profile {
			continue
		}
		text := fmt.Sprintf("bridges:\n  cloud:\n    servers: [%q]\n    profile: %s\n    %s\n    out:\n      - {from: \"dunlin/{node}/#\", %s}\n", v.server, v.profile, v.keys, v.route)
		return "\n# A bridge to " + v.profile + ": put your own for what is in capitals, then take the # away.\n#" +
			strings.TrimSuffix(strings.ReplaceAll(text, "\n", "\n#"), "#"), true
	}
	if !strings.Contains(to, ".") && net.ParseIP(to) == nil {
		return "", false
	}
	return fmt.Sprintf("\nbridges:\n  cloud:\n    servers: [\"mqtts://%s\"]\n    credentials: {username: \"{node}\", password: \"file:"+cloudPassword+"\"}\n    out:\n      - {from: \"dunlin/{node}/#\"}\n", to), true
}
