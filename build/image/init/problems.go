package main

import (
	"context"
	"time"
)

// problemsTopic is where MQTT clients read what dunlin-errors.txt says; nothing
// is retained there when all is well.
const problemsTopic = "$SYS/dunlin/board/problems"

// tellReports has the gateway told of the reports anew. It returns at once.
func (b *board) tellReports() {
	select {
	case b.reports.changed <- struct{}{}:
	default: // it is told soon
	}
}

// problems tells the gateway what is wrong: who is far away cannot read the card.
func (b *board) problems(ctx context.Context) error {
	return b.tellProblems(ctx, gatewayAPI)
}

func (b *board) tellProblems(ctx context.Context, gateway publisher) error {
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-b.reports.changed:
		case <-again:
		}
		again = nil
		if !b.life.serves() {
			continue // its start is another occasion
		}
		b.reports.Lock()
		text := reportText(b.reports.text)
		b.reports.Unlock()
		if err := gateway.Publish(ctx, problemsTopic, text); err != nil {
			again = time.After(time.Minute)
		}
	}
}

// publisher has a gateway retain a value.
type publisher interface {
	Publish(ctx context.Context, topic, value string) error
}
