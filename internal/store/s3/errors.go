package s3

import (
	"context"
	"crypto/tls"
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
	for _, known := range []error{store.ErrCorrupt, store.ErrExists, store.ErrNotFound, store.ErrTooLarge, store.ErrClock} {
		if errors.Is(err, known) {
			return err
		}
	}
	if errors.Is(err, store.ErrNoDelete) {
		return fmt.Errorf("%w; nothing is pruned there by us: let the bucket's own rules do it, or let this key delete", err)
	}
	status, operation := statusOf(err), operationOf(err)
	var api smithy.APIError
	var none *noKeys
	if errors.As(err, &api) {
		err = &answer{err, api, status}
	}
	switch {
	case errors.As(err, &none):
		return fmt.Errorf("%w: %w", store.ErrDenied, none)
	case distrusted(err):
		return fmt.Errorf("%w: %w; for a server of your own, set S3_CA_FILE to the certificate of its authority", store.ErrCertificate, err)
	case hasCode(err, "AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraintException", "MovedPermanently"):
		return fmt.Errorf("%w: %w; set S3_REGION to the bucket's%s", store.ErrRegion, err, bucketRegion(err))
	case errors.Is(err, store.ErrStalled):
		return fmt.Errorf("%w; look at the network; the next Put goes on from here", err)
	case hasCode(err, "RequestTimeTooSkewed"):
		return fmt.Errorf("%w: %w; set this host's clock (timedatectl)", store.ErrClock, err)
	case hasCode(err, "QuotaExceeded", "StorageFull", "XMinioStorageFull", "InsufficientCapacity"), status == http.StatusInsufficientStorage:
		return fmt.Errorf("%w: %w; raise the quota or lower the retention", store.ErrFull, err)
	case hasCode(err, "NoSuchBucket"):
		return fmt.Errorf("%w: %w; create the bucket or mend its name", store.ErrNoBucket, err)
	case hasCode(err, "NoSuchUpload"):
		return fmt.Errorf("somebody ended the upload; the next Put begins anew: %w", err)
	case absent(err):
		return fmt.Errorf("%w: %w", store.ErrNotFound, err)
	case forbidden(err), hasCode(err, unknownKey...):
		return fmt.Errorf("%w: %w; %s", store.ErrDenied, err, permit(err, operation))
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

// unknownKey are the answers about a key that the server does not know, or no longer.
var unknownKey = []string{"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"}

// forbidden reports that the server does not let this key do what was asked.
func forbidden(err error) bool {
	status := statusOf(err)
	return hasCode(err, "AccessDenied") || status == http.StatusForbidden || status == http.StatusUnauthorized
}

// permit is the fix for a refusal: a key that the server does not know, or the operation that a known key lacks.
func permit(err error, operation string) string {
	if operation == "" || hasCode(err, unknownKey...) {
		return "check key id and secret key, and that they may list, read, write and delete here"
	}
	return "let this key do " + operation + " here, as it must list, read, write and delete"
}

// operationOf is the SDK's word for what was asked of the server, such as PutObject.
func operationOf(err error) string {
	var operation *smithy.OperationError
	if errors.As(err, &operation) {
		return operation.Operation()
	}
	return ""
}

// distrusted reports that the server's certificate did not prove what it should.
func distrusted(err error) bool {
	var verification *tls.CertificateVerificationError
	return errors.As(err, &verification)
}

// bucketRegion is where a server says that the bucket is, with a comma before it, or "".
func bucketRegion(err error) string {
	var response *awshttp.ResponseError
	if !errors.As(err, &response) || response.Response == nil {
		return ""
	}
	if region := response.Response.Header.Get("X-Amz-Bucket-Region"); region != "" {
		return ", " + region
	}
	return ""
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
