package docker

import (
	"context"
	"errors"
	"fmt"

	"github.com/docker/docker/api/types/container"
)

// ScratchSpec describes a throw-away container.
type ScratchSpec struct {
	Node    string   // owner, for the label
	Image   string   // image id
	Command []string // arguments of the image's entry point
	Env     []string // NAME=value; no secrets, anyone who may inspect containers reads them
}

// StartScratch starts a container that has no network, no part of the host and no volume but its own, and returns its id. Whoever starts it
// removes it with RemoveScratch; RemoveHelpers finds what a killed process left.
func (c *Client) StartScratch(ctx context.Context, spec ScratchSpec) (string, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	created, err := c.api.ContainerCreate(ctx, &container.Config{
		Image: spec.Image, Cmd: spec.Command, Env: spec.Env, Labels: map[string]string{LabelHelper: spec.Node},
		Healthcheck: &container.HealthConfig{Test: []string{"NONE"}},
	}, &container.HostConfig{
		NetworkMode: "none", SecurityOpt: []string{"no-new-privileges"},
		Resources: container.Resources{CPUShares: 256}, // the validator comes first
	}, nil, nil, "")
	if err != nil {
		return "", wrap(ctx, "create scratch container", err)
	}
	if err := c.api.ContainerStart(ctx, created.ID, container.StartOptions{}); err != nil {
		return "", errors.Join(wrap(ctx, "start scratch container", err), c.RemoveScratch(created.ID))
	}
	return created.ID, nil
}

// RemoveScratch removes a scratch container and its volume. It uses a context of its own: it must work after a cancellation too.
func (c *Client) RemoveScratch(id string) error {
	ctx, cancel := context.WithTimeout(context.Background(), cleanUpLimit)
	defer cancel()
	if err := c.removeContainer(ctx, id); err != nil {
		return fmt.Errorf("remove scratch container: %w", err)
	}
	return nil
}
