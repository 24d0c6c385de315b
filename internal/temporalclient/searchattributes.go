package temporalclient

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"canton-backup/internal/attributes"
)

// SearchAttributesError says which attributes could not be ensured. Runs that set one of them will not get on until it
// exists; a caller may still treat the error as a warning, because someone else may have to make them (Temporal Cloud).
type SearchAttributesError struct {
	Namespace string
	Names     []string // those that are missing or have another type
	Cause     error
}

func (e *SearchAttributesError) Error() string {
	return fmt.Sprintf("ensure search attributes %s in namespace %s: %v: create them with "+
		"`temporal operator search-attribute create`, on Temporal Cloud with `tcld` or its UI",
		strings.Join(e.Names, ", "), e.Namespace, e.Cause)
}

func (e *SearchAttributesError) Unwrap() error { return e.Cause }

var errOtherType = errors.New("exists with another type")

// EnsureSearchAttributes creates those of our attributes that namespace lacks. It may be called by many workers at once.
// On a cluster a new attribute takes up to a minute to work. Every error is a *SearchAttributesError.
func EnsureSearchAttributes(ctx context.Context, c client.Client, namespace string) error {
	operator := c.OperatorService()
	found, err := operator.ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: namespace})
	if err != nil {
		return &SearchAttributesError{Namespace: namespace, Names: names(attributes.All()), Cause: err}
	}
	missing, wrong := compare(found.GetCustomAttributes())
	if len(wrong) > 0 {
		return &SearchAttributesError{Namespace: namespace, Names: names(wrong), Cause: errOtherType}
	}
	if len(missing) == 0 {
		return nil
	}
	request := &operatorservice.AddSearchAttributesRequest{
		Namespace:        namespace,
		SearchAttributes: map[string]enumspb.IndexedValueType{},
	}
	for _, key := range missing {
		request.SearchAttributes[key.GetName()] = key.GetValueType()
	}
	_, err = operator.AddSearchAttributes(ctx, request)
	var exists *serviceerror.AlreadyExists
	if err != nil && !errors.As(err, &exists) { // another worker was faster
		return &SearchAttributesError{Namespace: namespace, Names: names(missing), Cause: err}
	}
	return nil
}

func compare(found map[string]enumspb.IndexedValueType) (missing, wrong []temporal.SearchAttributeKey) {
	for _, key := range attributes.All() {
		switch have, ok := found[key.GetName()]; {
		case !ok:
			missing = append(missing, key)
		case have != key.GetValueType():
			wrong = append(wrong, key)
		}
	}
	return missing, wrong
}

func names(keys []temporal.SearchAttributeKey) []string {
	out := make([]string, 0, len(keys))
	for _, key := range keys {
		out = append(out, key.GetName())
	}
	slices.Sort(out)
	return out
}
