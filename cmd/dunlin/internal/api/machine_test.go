package api

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/scan"
)

// The machine is looked at for one caller at a time, and not for ever.
func TestTheMachineIsLookedAtForOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := New(Options{
			Log:     slog.New(slog.DiscardHandler),
			Examine: func(context.Context) Diagnosis { return Diagnosis{API: "v1"} },
			Scan: func(ctx context.Context, _ string, _ bool) (*scan.Report, error) {
				<-ctx.Done()
				return &scan.Report{}, nil
			},
		})
		ask := func(do func(*call) (any, error)) error {
			_, err := do(&call{a: a, ctx: t.Context()})
			return err
		}
		began, over := time.Now(), make(chan error)
		go func() { over <- ask(scanHardware) }()
		synctest.Wait()
		var p *Problem
		if err := ask(diagnose); !errors.As(err, &p) || p.Status != 409 {
			t.Errorf("while a scan is under way: %v", err)
		}
		if err := <-over; err != nil || time.Since(began) != scanIn {
			t.Errorf("the scan ended after %v: %v", time.Since(began), err)
		}
		if err := ask(diagnose); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}
