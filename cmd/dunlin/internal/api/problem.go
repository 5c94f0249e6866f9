package api

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/http1"
)

// Problem is an error as the API tells it (RFC 9457).
type Problem struct {
	Status int    `json:"status"`
	Title  string `json:"title"`
	Detail string `json:"detail,omitempty"` // what to do about it, where that is known
}

func (p *Problem) Error() string {
	if p.Detail == "" {
		return p.Title
	}
	return p.Title + ": " + p.Detail
}

func problem(status int, format string, args ...any) *Problem {
	return &Problem{Status: status, Title: fmt.Sprintf(format, args...)}
}

// problemOf makes a problem of any error.
func problemOf(err error) *Problem {
	var p *Problem
	var refused *mqtt.Error
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &refused):
		return &Problem{Status: 400, Title: refused.Msg, Detail: refused.Spec}
	}
	return &Problem{Status: 500, Title: err.Error()}
}

func reply(w *http1.Writer, status int, doc any) {
	b, err := json.Marshal(doc)
	if err != nil {
		status, b = 500, []byte(`{"status":500,"title":"the answer cannot be written as JSON"}`)
	}
	contentType := "application/json"
	if _, is := doc.(*Problem); is {
		contentType = "application/problem+json"
	}
	if status == 401 {
		w.Set("WWW-Authenticate", "Bearer") // RFC 9110, 15.5.2
	}
	w.Set("Cache-Control", "no-store")
	w.Set("X-Content-Type-Options", "nosniff")
	w.Reply(status, contentType, append(b, '\n'))
}
