package format

// appendPretty lays compact JSON out as mosquitto_sub --pretty does: objects
// over several lines with tabs, arrays on one line.
func appendPretty(dst, src []byte) []byte {
	var open []byte // the brackets around the present place
	for i := 0; i < len(src); i++ {
		switch c := src[i]; c {
		case '"':
			end := stringEnd(src, i)
			dst = append(dst, src[i:end]...)
			i = end - 1
		case '{':
			open = append(open, c)
			dst = append(dst, '{', '\n')
			if i+1 < len(src) && src[i+1] != '}' {
				dst = pad(dst, '\t', len(open))
			}
		case '}':
			if src[i-1] != '{' {
				dst = append(dst, '\n')
			}
			open = open[:len(open)-1]
			dst = append(pad(dst, '\t', len(open)), '}')
		case '[', ']':
			if c == '[' {
				open = append(open, c)
			} else {
				open = open[:len(open)-1]
			}
			dst = append(dst, c)
		case ':':
			dst = append(dst, ':', '\t')
		case ',':
			if open[len(open)-1] == '[' {
				dst = append(dst, ',', ' ')
			} else {
				dst = pad(append(dst, ',', '\n'), '\t', len(open))
			}
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// stringEnd is the index after the string that starts at i.
func stringEnd(src []byte, i int) int {
	for j := i + 1; j < len(src); j++ {
		switch src[j] {
		case '\\':
			j++
		case '"':
			return j + 1
		}
	}
	return len(src)
}
