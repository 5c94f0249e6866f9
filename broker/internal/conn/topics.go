package conn

// topics keeps the last Topic Names of a connection as strings: a client that
// publishes to a few topics again and again costs no allocation, and what was
// found valid once is not looked at again.
type topics [8]string

// rememberMax bounds a remembered name, in bytes.
const rememberMax = 256

// find returns name, which is not empty, as a string that was remembered.
func (t *topics) find(name []byte) (string, bool) {
	if t == nil {
		return "", false
	}
	s := t[slot(name)]
	return s, s == string(name)
}

// remember makes a string of a valid name and keeps it instead of another.
func (c *Conn) remember(name []byte) string {
	s := string(name)
	if len(s) > rememberMax {
		return s
	}
	if c.topics == nil {
		c.topics = new(topics)
	}
	c.topics[slot(name)] = s
	return s
}

// slot is where a name belongs. Names of one client mostly differ at the end.
func slot(name []byte) int {
	n := len(name)
	return int(name[n-1]^name[n/2]<<1^byte(n)) % len(topics{})
}
