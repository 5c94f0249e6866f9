package topic

import (
	"strings"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

const (
	sharePrefix = "$share/"
	queuePrefix = "$queue/"
)

// Share takes a Shared Subscription's filter apart: "$share/g/a/b" is group
// "g" and filter "a/b". "$queue/a", the older spelling of one nameless group,
// is group "" and filter "a"; no group of $share can be empty
// [MQTT-4.8.2-1]. Any other filter comes back as rest with shared false. Share
// does not judge; ValidFilter does.
func Share(filter string) (group, rest string, shared bool) {
	if rest, ok := strings.CutPrefix(filter, sharePrefix); ok {
		group, rest, _ = strings.Cut(rest, "/")
		return group, rest, true
	}
	if rest, ok := strings.CutPrefix(filter, queuePrefix); ok {
		return "", rest, true
	}
	return "", filter, false
}

func validShare(filter, group, rest string) error {
	if strings.HasPrefix(filter, sharePrefix) {
		if group == "" {
			return mqtt.Errorf(mqtt.TopicFilterInvalid, "MQTT-4.8.2-1", "empty ShareName")
		}
		if strings.ContainsAny(group, "+#") {
			return mqtt.Errorf(mqtt.TopicFilterInvalid, "MQTT-4.8.2-2", "wildcard in the ShareName")
		}
	}
	if rest == "" {
		return mqtt.Errorf(mqtt.TopicFilterInvalid, "MQTT-4.8.2-2", "Shared Subscription without a Topic Filter")
	}
	return nil
}
