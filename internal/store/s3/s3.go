// Package s3 keeps backup sets in a bucket: Cloudflare R2 or anything else that speaks S3.
//
// An object counts when a HEAD after the upload shows its size and the ETag that follows from the bytes sent; where ETags
// say nothing (encryption with a managed key) the object is read again. Objects carry their SHA-256 as metadata.
package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"canton-backup/internal/secret"
	"canton-backup/internal/store"
)

// Limits and defaults. A server takes at most 10,000 parts of equal length (R2 insists on equal), each of 5 MiB to 5 GiB.
const (
	minPartSize = 5 << 20
	maxPartSize = 5 << 30
	mebibyte    = 1 << 20

	DefaultMaxParts    = 10_000
	DefaultPartSize    = 16 << 20
	DefaultConcurrency = 2
	DefaultStallAfter  = 2 * time.Minute
	DefaultAttempts    = 5
	DefaultMaxBackoff  = 20 * time.Second
)

// Config names the bucket and how objects are kept there.
type Config struct {
	Kind      string        // "r2" or "s3"; "" is "r2"
	Endpoint  string        // URL; "" means AWS by region
	Region    string        // "" is "auto", R2's only region
	Bucket    string        // never created by us
	Prefix    string        // folder in the bucket, or ""
	PathStyle bool          // bucket in the path instead of the host name
	AccessKey string        // key id; for s3 both keys may be empty: the SDK's own chain (environment, profile, role)
	SecretKey secret.String //
	CAFile    string        // PEM with authorities to trust beside the host's, or ""
	Owner     string        // node's name; marks unfinished uploads, so that Sweep spares those of others

	StorageClass string        // "" is the bucket's own
	SSE          string        // "AES256", "aws:kms", or "": the bucket's own
	KMSKey       string        // for "aws:kms"; "" is the account's own
	LockFor      time.Duration // object lock of what is put, in governance mode; 0 is none

	PartSize    int64         // bytes; 0 is DefaultPartSize; raised for files that would need more than MaxParts
	MaxParts    int           // 0 is DefaultMaxParts
	Limit       int64         // bytes a second that are sent; 0 is no limit
	Concurrency int           // parts under way at once; 0 is DefaultConcurrency
	StallAfter  time.Duration // no byte moved on a connection for so long is ErrStalled; 0 is DefaultStallAfter
	Attempts    int           // tries of one request against 429, 5xx and cut lines; 0 is DefaultAttempts
	MaxBackoff  time.Duration // longest pause between two tries; 0 is DefaultMaxBackoff
}

// R2Endpoint is the endpoint of a Cloudflare account.
func R2Endpoint(accountID string) string { return "https://" + accountID + ".r2.cloudflarestorage.com" }

// Store is a bucket, or a folder of one.
type Store struct {
	cfg    Config
	client *s3.Client
	now    func() time.Time // this host's clock
}

var _ store.Store = (*Store)(nil)

// New checks the settings and reads CAFile. It connects to nothing.
func New(cfg Config) (*Store, error) {
	setDefault(&cfg.Kind, "r2")
	setDefault(&cfg.Region, "auto")
	setDefault(&cfg.PartSize, DefaultPartSize)
	setDefault(&cfg.MaxParts, DefaultMaxParts)
	setDefault(&cfg.Concurrency, DefaultConcurrency)
	setDefault(&cfg.StallAfter, DefaultStallAfter)
	setDefault(&cfg.Attempts, DefaultAttempts)
	setDefault(&cfg.MaxBackoff, DefaultMaxBackoff)
	if cfg.Prefix = strings.Trim(cfg.Prefix, "/"); cfg.Prefix != "" {
		cfg.Prefix += "/"
	}
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("open s3 store: %w", err)
	}
	keys, err := cfg.keys()
	if err != nil {
		return nil, fmt.Errorf("open s3 store: %w", err)
	}
	authorities, err := authorities(cfg.CAFile)
	if err != nil {
		return nil, fmt.Errorf("open s3 store: %w", err)
	}
	options := s3.Options{
		Region:       cfg.Region,
		Credentials:  keys,
		UsePathStyle: cfg.PathStyle,
		HTTPClient:   newHTTPClient(cfg.StallAfter, authorities, store.NewLimiter(cfg.Limit)),
		Retryer:      newRetryer(cfg.Attempts, cfg.MaxBackoff),
		// The SDK's default checksums travel as trailers, which R2 and many other servers refuse.
		RequestChecksumCalculation:                aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation:                aws.ResponseChecksumValidationWhenRequired,
		DisableLogOutputChecksumValidationSkipped: true,
	}
	if cfg.Endpoint != "" {
		options.BaseEndpoint = aws.String(cfg.Endpoint)
	}
	return &Store{cfg: cfg, client: s3.New(options), now: time.Now}, nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (c Config) check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Kind != "r2" && c.Kind != "s3" {
		bad("kind %q is neither r2 nor s3", c.Kind)
	}
	if c.Endpoint != "" {
		if u, err := url.Parse(c.Endpoint); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil {
			bad("endpoint is not a URL like https://host")
		}
	} else if c.Kind == "r2" {
		bad("endpoint is empty")
	}
	if c.Bucket == "" || strings.Contains(c.Bucket, "/") {
		bad("bucket %q is no bucket name", c.Bucket)
	}
	if chain := c.Kind == "s3" && c.AccessKey == "" && c.SecretKey.Empty(); !chain {
		if c.AccessKey == "" {
			bad("access key is empty")
		}
		if c.SecretKey.Empty() {
			bad("secret key is empty")
		}
	}
	if c.PartSize < minPartSize {
		bad("part size %d is below %d bytes", c.PartSize, minPartSize)
	}
	if c.MaxParts > DefaultMaxParts {
		bad("%d parts are more than the %d that S3 allows", c.MaxParts, DefaultMaxParts)
	}
	if c.MaxParts < 1 || c.Concurrency < 1 || c.Attempts < 1 || c.StallAfter < 0 || c.MaxBackoff < 0 || c.LockFor < 0 {
		bad("parts, concurrency, attempts and times must be positive")
	}
	return errors.Join(append(errs, store.CheckOwner(c.Owner))...)
}

// Kind implements store.Store.
func (s *Store) Kind() string { return s.cfg.Kind }

// Location implements store.Store.
func (s *Store) Location() string {
	return strings.TrimSuffix(s.cfg.Kind+"://"+s.cfg.Bucket+"/"+s.cfg.Prefix, "/")
}

func (s *Store) key(name string) *string { return aws.String(s.cfg.Prefix + name) }

func (s *Store) bucket() *string { return aws.String(s.cfg.Bucket) }

// List implements store.Store.
func (s *Store) List(ctx context.Context) ([]store.Object, error) {
	var objects []store.Object
	err := s.each(ctx, "", func(name string, size int64) {
		if name != "" && name[0] != '.' {
			objects = append(objects, store.Object{Name: name, Size: size})
		}
	})
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", s.Location(), typed(ctx, err))
	}
	slices.SortFunc(objects, func(a, b store.Object) int { return strings.Compare(a.Name, b.Name) })
	return objects, nil
}

// each visits the objects whose name begins with start; folders below the prefix are none of ours.
func (s *Store) each(ctx context.Context, start string, visit func(name string, size int64)) error {
	pages := s3.NewListObjectsV2Paginator(s.client, &s3.ListObjectsV2Input{
		Bucket: s.bucket(), Prefix: s.key(start), Delimiter: aws.String("/"),
		EncodingType: types.EncodingTypeUrl, // XML cannot carry every name that a foreign program chose
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, object := range page.Contents {
			key := aws.ToString(object.Key)
			if page.EncodingType == types.EncodingTypeUrl {
				if key, err = url.QueryUnescape(key); err != nil {
					return fmt.Errorf("decode key: %w", err)
				}
			}
			visit(strings.TrimPrefix(key, s.cfg.Prefix), aws.ToInt64(object.Size))
		}
	}
	return nil
}

// Delete implements store.Store.
func (s *Store) Delete(ctx context.Context, name string) error {
	err := errors.Join(ctx.Err(), store.CheckName(name))
	if err == nil {
		err = s.remove(ctx, name)
	}
	if err != nil {
		return fmt.Errorf("delete %q: %w", name, typed(ctx, err))
	}
	return nil
}

func (s *Store) remove(ctx context.Context, name string) error {
	_, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: s.bucket(), Key: s.key(name)})
	if absent(err) {
		return nil
	}
	return err
}

// Open implements store.Store.
func (s *Store) Open(ctx context.Context, name string, offset int64) (io.ReadCloser, error) {
	err := errors.Join(ctx.Err(), store.CheckName(name))
	var r io.ReadCloser
	if err == nil {
		r, err = s.open(ctx, name, offset)
	}
	if err != nil {
		return nil, fmt.Errorf("open %q: %w", name, typed(ctx, err))
	}
	return r, nil
}

func (s *Store) open(ctx context.Context, name string, offset int64) (io.ReadCloser, error) {
	if offset < 0 {
		return nil, fmt.Errorf("offset %d is negative", offset)
	}
	input := &s3.GetObjectInput{Bucket: s.bucket(), Key: s.key(name)}
	if offset > 0 {
		head, err := s.head(ctx, name)
		if err != nil {
			return nil, err
		}
		size := aws.ToInt64(head.ContentLength)
		if offset > size {
			return nil, fmt.Errorf("offset %d lies outside of %d bytes", offset, size)
		}
		if offset == size {
			return io.NopCloser(strings.NewReader("")), nil // a range of no bytes cannot be asked for
		}
		input.Range = aws.String(fmt.Sprintf("bytes=%d-", offset))
		input.IfMatch = head.ETag
	}
	got, err := s.client.GetObject(ctx, input)
	if err != nil {
		return nil, err
	}
	if offset > 0 && !strings.HasPrefix(aws.ToString(got.ContentRange), fmt.Sprintf("bytes %d-", offset)) {
		_ = got.Body.Close()
		return nil, fmt.Errorf("server ignored the range and sent %q", aws.ToString(got.ContentRange))
	}
	return &reader{ctx: ctx, body: got.Body, left: aws.ToInt64(got.ContentLength)}, nil
}

// reader gives stream errors the store's types, and does not take a cut stream for a complete one.
type reader struct {
	ctx  context.Context
	body io.ReadCloser
	left int64
}

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.body.Read(p)
	r.left -= int64(n)
	if err == io.EOF {
		if r.left > 0 {
			err = io.ErrUnexpectedEOF
		}
		return n, err
	}
	if err != nil {
		err = fmt.Errorf("read object: %w", typed(r.ctx, err))
	}
	return n, err
}

func (r *reader) Close() error { return r.body.Close() }
