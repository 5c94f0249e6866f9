package main

// reference is the server that ratios are taken to.
const reference = "mosquitto"

// subject is the server that has to meet the limits.
const subject = "dunlin"

// limit is what the subject has to reach: a value, or a ratio to the reference
// in the same round.
type limit struct {
	scenario, metric string
	ratio            bool
	most             float64
}

// limits are the acceptance figures. CPU ratios are those of the best server
// there is for each scenario, memory and start are absolute.
var limits = []limit{
	{"fanin0", "cpu_us_per_msg", true, 0.30},
	{"fanin1", "cpu_us_per_msg", true, 0.26},
	{"fanin2", "cpu_us_per_msg", true, 0.20},
	{"fanout0", "cpu_us_per_msg", true, 0.25},
	{"pairs0", "cpu_us_per_msg", true, 0.30},
	{"pairs1", "cpu_us_per_msg", true, 0.20},
	{"wildcard", "cpu_us_per_msg", true, 0.35},
	{"lat0", "cpu_us_per_msg", true, 0.95},
	{"lat0", "p50_us", true, 1},
	{"lat1", "cpu_us_per_msg", true, 0.90},
	{"lat1", "p50_us", true, 1},
	{"idle10k", "bytes_per_conn", false, 2500},
	{"idle10k", "rss_left_ratio", false, 1.30},
	{"ret100k", "bytes_per_msg", false, 600},
	{"connect", "cpu_us_per_conn", true, 1.5},
	{"connect-tls", "cpu_us_per_conn", true, 1.3},
	{"footprint", "rss_mb", false, 8},
	{"start", "connack_ms", false, 20},
	{"size", "armv6_mb", false, 9},
}

func limitOf(scenario, metric string) (limit, bool) {
	for _, l := range limits {
		if l.scenario == scenario && l.metric == metric {
			return l, true
		}
	}
	return limit{}, false
}
