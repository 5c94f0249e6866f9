package client

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// URL is a parsed mqtt://, mqtts:// or unix:// address.
type URL struct {
	Scheme   string // "mqtt", "mqtts" or "unix"
	Host     string // without brackets; the path of a Unix socket
	Port     int    // 0 with a Unix socket
	Username *string
	Password *string
	Topic    string // what follows the host, without the slash
	HasTopic bool
}

// ParseURL reads scheme://[user[:password]@]host[:port][/topic]. The topic is
// taken as it stands, since '#', '?' and '%' belong to topics; user and
// password are percent-decoded where they hold valid escapes. For unix:// all
// that follows is the path.
func ParseURL(s string) (URL, error) {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		return URL{}, errors.New("URL needs mqtt://, mqtts:// or unix://")
	}
	u := URL{Scheme: strings.ToLower(scheme)}
	switch u.Scheme {
	case "unix":
		if rest == "" {
			return URL{}, errors.New("URL names no socket")
		}
		u.Host = rest
		return u, nil
	case "mqtt":
		u.Port = 1883
	case "mqtts":
		u.Port = 8883
	default:
		return URL{}, fmt.Errorf("URL scheme %q: use mqtt, mqtts or unix", scheme)
	}
	var authority string
	authority, u.Topic, u.HasTopic = strings.Cut(rest, "/")
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		u.setUser(authority[:i])
		authority = authority[i+1:]
	}
	if err := u.setHost(authority); err != nil {
		return URL{}, err
	}
	return u, nil
}

func (u *URL) setUser(info string) {
	name, password, has := strings.Cut(info, ":")
	name = unescape(name)
	u.Username = &name
	if has {
		password = unescape(password)
		u.Password = &password
	}
}

func (u *URL) setHost(authority string) error {
	host, port := authority, ""
	if strings.HasPrefix(authority, "[") { // IPv6
		end := strings.IndexByte(authority, ']')
		if end < 0 {
			return errors.New("URL: the address in brackets does not end")
		}
		host, port = authority[1:end], authority[end+1:]
		if port != "" && port[0] != ':' {
			return errors.New("URL: text after the address in brackets")
		}
		port = strings.TrimPrefix(port, ":")
		if net.ParseIP(strings.SplitN(host, "%", 2)[0]) == nil {
			return errors.New("URL: no IP address in the brackets")
		}
	} else if h, p, ok := strings.Cut(authority, ":"); ok {
		host, port = h, p
	}
	if host == "" {
		return errors.New("URL names no host")
	}
	u.Host = host
	if port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return fmt.Errorf("URL port %q: must be 1 to 65535", port)
		}
		u.Port = int(n)
	}
	return nil
}

func unescape(s string) string {
	if d, err := url.PathUnescape(s); err == nil {
		return d
	}
	return s
}
