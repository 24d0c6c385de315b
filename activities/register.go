package activities

import "go.temporal.io/sdk/worker"

// Register offers every activity of the host to a worker, for production and tests alike.
func Register(r worker.ActivityRegistry, h *Host) {
	r.RegisterActivity(&Node{h})
	r.RegisterActivity(&Dumps{h})
	r.RegisterActivity(&Sets{h})
	r.RegisterActivity(&Prunes{h})
	r.RegisterActivity(&Alerts{h})
	r.RegisterActivity(&Restores{h})
	r.RegisterActivity(&Nodes{h})
	r.RegisterActivity(&Drills{h})
	r.RegisterActivity(&Watches{h})
}
