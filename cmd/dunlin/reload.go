package main

import (
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/dunlin-mqtt/dunlin/config"
)

// reloadOnHangup reads the files of users, rights and TLS again at each SIGHUP.
// What has changed in rights is applied to every session, what has changed in
// TLS to new connections; what is not right in a file changes nothing. The rest
// of the configuration stays as it was at the start. It also keeps the gateway
// alive when the terminal that started it closes.
func reloadOnHangup(g *gateway, cfg *config.Config, log *slog.Logger) (stop func()) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range hangups {
			g.reload(cfg, log)
		}
	}()
	return func() {
		signal.Stop(hangups)
		close(hangups)
		<-done
	}
}

func (g *gateway) reload(cfg *config.Config, log *slog.Logger) {
	for _, t := range g.tls {
		if err := t.Reload(); err != nil {
			log.Error("the files of TLS stay as they were", "err", err)
		}
	}
	if err := g.auth.Reload(authOptions(cfg)); err != nil {
		log.Error("users and rights stay as they were", "err", err)
		return
	}
	g.broker.RightsChanged()
	log.Info("users and rights loaded again")
}
