package api

import (
	"net/url"
	"strconv"
	"strings"
)

// values are the arguments of a query.
type values map[string]string

// parseQuery takes a query apart; names are those that are known, with commas
// between.
func parseQuery(query, names string) (values, error) {
	v := values{}
	for _, part := range strings.Split(query, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		value, err := url.QueryUnescape(value)
		if err != nil {
			return nil, problem(400, "the query is not encoded right")
		}
		if !strings.Contains(","+names+",", ","+name+",") || name == "" || strings.Contains(name, ",") {
			return nil, &Problem{400, "there is no argument " + name, "there are: " + names}
		}
		switch name {
		case "dry_run", "downgrade", "changes", "session", "all", "local":
			if value != "true" && value != "false" {
				return nil, problem(400, "%s is true or false", name)
			}
		}
		if _, twice := v[name]; twice {
			return nil, problem(400, "%s is there twice", name)
		}
		v[name] = value
	}
	return v, nil
}

// page is how many rows of a list are wanted.
func (v values) page() (int, error) {
	if v["limit"] == "" {
		return 100, nil
	}
	n, err := strconv.Atoi(v["limit"])
	if err != nil || n < 1 || n > 1000 {
		return 0, problem(400, "limit is a number from 1 to 1000")
	}
	return n, nil
}

// match compares a path with a row's, in which * stands for one level, and
// returns that level decoded.
func match(pattern, path string) (name string, ok bool) {
	before, after, wild := strings.Cut(pattern, "*")
	if !wild {
		return "", pattern == path
	}
	rest, ok := strings.CutPrefix(path, before)
	if !ok {
		return "", false
	}
	rest, ok = strings.CutSuffix(rest, after)
	if !ok || rest == "" || strings.Contains(rest, "/") {
		return "", false
	}
	name, err := url.PathUnescape(rest)
	return name, err == nil
}
