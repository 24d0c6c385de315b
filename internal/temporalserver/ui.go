package temporalserver

import (
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	uiserver "github.com/temporalio/ui-server/v2/server"
	uiconfig "github.com/temporalio/ui-server/v2/server/config"
	"github.com/temporalio/ui-server/v2/server/server_options"
)

const uiStartTimeout = 10 * time.Second

// webUI is the Temporal Web UI on a port of its own.
type webUI struct {
	server *uiserver.Server
	done   chan struct{}
	url    string
}

// startUI never fails: a backup does not need to be looked at. When the wanted port is taken the UI moves to a free one.
//
// The port is checked first because the UI server ends the whole process when it cannot listen.
func startUI(want int, apiAddress, namespace string, logger *slog.Logger) *webUI {
	if want == 0 {
		return nil
	}
	port := want
	if err := checkPort(want); err != nil {
		if port, err = freePort(); err != nil {
			logger.Warn("temporal ui is off: no free port", "wanted_port", want, "error", err)
			return nil
		}
	}
	ui, err := serveUI(port, apiAddress, namespace)
	if err != nil {
		logger.Warn("temporal ui is off", "error", err)
		return nil
	}
	if port != want {
		logger.Warn("temporal ui moved: its port is taken", "wanted_port", want, "url", ui.url)
	}
	return ui
}

func serveUI(port int, apiAddress, namespace string) (*webUI, error) {
	cfg := &uiconfig.Config{
		Host:                loopback,
		Port:                port,
		TemporalGRPCAddress: apiAddress,
		EnableUI:            true,
		DefaultNamespace:    namespace,
		HideLogs:            true,
		DisableNewsFetch:    true,
		// The UI is plain http on loopback; a cookie marked secure would never come back and every button would fail.
		CORS: uiconfig.CORS{CookieInsecure: true},
	}
	// NewServer panics on a bad setting, so it is checked here.
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("check ui settings: %w", err)
	}
	ui := &webUI{
		server: uiserver.NewServer(server_options.WithConfigProvider(cfg)),
		done:   make(chan struct{}),
		url:    "http://" + net.JoinHostPort(loopback, strconv.Itoa(port)),
	}
	go func() {
		defer close(ui.done)
		_ = ui.server.Start() // nil after Close; on any other end it ends the process itself
	}()
	if err := awaitListener(port); err != nil {
		ui.stop()
		return nil, err
	}
	return ui, nil
}

// awaitListener makes the address true that UIURL is about to hand out.
func awaitListener(port int) error {
	address := net.JoinHostPort(loopback, strconv.Itoa(port))
	for deadline := time.Now().Add(uiStartTimeout); ; {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			return conn.Close()
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("wait for the ui: %w", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (u *webUI) stop() {
	if u == nil {
		return
	}
	u.server.Stop()
	<-u.done
}
