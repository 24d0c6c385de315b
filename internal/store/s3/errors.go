package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"canton-backup/internal/store"
)

// typed adds the store's word and the fix to a server's answer. The server's own words stay in the text: they hold no secret.
func typed(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ended := ctx.Err(); ended != nil {
		return fmt.Errorf("%w: %w", ended, err)
	}
	for _, known := range []error{store.ErrCorrupt, store.ErrExists, store.ErrNotFound} {
		if errors.Is(err, known) {
			return err
		}
	}
	status := statusOf(err)
	var api smithy.APIError
	if errors.As(err, &api) {
		err = &answer{err, api, status}
	}
	switch {
	case errors.Is(err, store.ErrStalled):
		return fmt.Errorf("%w; look at the network; the next Put goes on from here", err)
	case hasCode(err, "RequestTimeTooSkewed"):
		return fmt.Errorf("%w: %w; set this host's clock (timedatectl)", store.ErrDenied, err)
	case hasCode(err, "QuotaExceeded", "StorageFull", "XMinioStorageFull", "InsufficientCapacity"), status == http.StatusInsufficientStorage:
		return fmt.Errorf("%w: %w; raise the quota or lower the retention", store.ErrFull, err)
	case hasCode(err, "NoSuchBucket"):
		return fmt.Errorf("%w: %w; create the bucket or mend its name", store.ErrNoBucket, err)
	case absent(err):
		return fmt.Errorf("%w: %w", store.ErrNotFound, err)
	case hasCode(err, "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"),
		status == http.StatusForbidden, status == http.StatusUnauthorized:
		return fmt.Errorf("%w: %w; check key id and secret key, and that they may list, read, write and delete here", store.ErrDenied, err)
	case status == http.StatusServiceUnavailable, status == http.StatusTooManyRequests:
		return fmt.Errorf("server is busy and asks for a slower pace: %w", err)
	case status >= 400 && status < 500 && status != http.StatusRequestTimeout:
		return fmt.Errorf("%w: %w", store.ErrRefused, err)
	}
	return err
}

// answer prints a server's answer in its own words, without the SDK's frame of request ids and operation names.
type answer struct {
	error
	api    smithy.APIError
	status int // HTTP
}

func (a *answer) Error() string {
	return fmt.Sprintf("%s: %s (HTTP %d)", a.api.ErrorCode(), a.api.ErrorMessage(), a.status)
}

func (a *answer) Unwrap() error { return a.error }

func hasCode(err error, codes ...string) bool {
	var api smithy.APIError
	return errors.As(err, &api) && slices.Contains(codes, api.ErrorCode())
}

// statusOf is the HTTP status of the last answer, or 0.
func statusOf(err error) int {
	var response *awshttp.ResponseError
	if errors.As(err, &response) {
		return response.HTTPStatusCode()
	}
	return 0
}

// absent reports that there is no such object. A HEAD says no more than that when the bucket is missing.
func absent(err error) bool { return hasCode(err, "NoSuchKey", "NotFound") }

// errTaken: an object of that name appeared while its parts were sent.
var errTaken = errors.New("name was taken meanwhile")

// taken reports that the server kept an object of that name instead of replacing it.
func taken(err error) bool {
	return errors.Is(err, errTaken) || hasCode(err, "PreconditionFailed") || statusOf(err) == http.StatusPreconditionFailed
}

// knowsNoConditions reports a server that refuses conditional writes.
func knowsNoConditions(err error) bool {
	return hasCode(err, "NotImplemented") || statusOf(err) == http.StatusNotImplemented
}
