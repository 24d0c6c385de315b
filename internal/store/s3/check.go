package s3

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"canton-backup/internal/store"
)

// maxSkew is how far this host's clock may be off. Signatures bear 15 minutes, and the SDK signs by the server's clock once it knows
// that; but sets are named and pruned by ours.
const maxSkew = 5 * time.Minute

// maxProbes is how often a probe may be gone when it is read: the worker's Sweep takes it for a leftover.
const maxProbes = 3

// Check implements store.Store. Its error names the operation that the key does not allow.
func (s *Store) Check(ctx context.Context) error {
	if operation, err := s.check(ctx); err != nil {
		return fmt.Errorf("check %s: %s: %w", s.Location(), operation, typed(ctx, err))
	}
	return nil
}

func (s *Store) check(ctx context.Context) (operation string, err error) {
	listed, err := s.client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{
		Bucket: s.bucket(), Prefix: aws.String(s.cfg.Prefix), MaxKeys: aws.Int32(1)})
	if err != nil {
		return "list", err
	}
	if skew, ok := middleware.GetAttemptSkew(listed.ResultMetadata); ok && skew.Abs() > maxSkew {
		return "clock", fmt.Errorf("%w: the server's shows %s more than this host's; set this host's clock (timedatectl)", store.ErrClock, skew.Round(time.Second))
	}
	probe, body, err := "", []byte(nil), error(nil)
	for range maxProbes {
		// A name of its own: a doctor may look while the worker does.
		probe = store.PartialName(s.cfg.Owner, strings.ToLower(rand.Text()[:12]), "check")
		if err := s.putSmall(ctx, probe, []byte("check\n")); err != nil {
			return "write", err
		}
		if body, err = s.getSmall(ctx, probe); !absent(err) {
			break
		}
	}
	if err == nil && string(body) != "check\n" {
		err = store.ErrCorrupt
	}
	if err != nil {
		return "read", errors.Join(err, s.remove(ctx, probe))
	}
	if err := s.remove(ctx, probe); forbidden(err) {
		return "delete", fmt.Errorf("%w: %w", store.ErrNoDelete, err)
	} else if err != nil {
		return "delete", err
	}
	return "", nil
}
