package s3

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"canton-backup/internal/store"
)

// Metadata of every object that we put. The part size lets a later Put work out the ETag from the local file.
const (
	metaSHA256   = "sha256"
	metaPartSize = "part-size"
)

// Put implements store.Store. A file of one part is one request; a larger one is a multipart upload, which the next Put of
// the same content resumes after an interruption.
func (s *Store) Put(ctx context.Context, name string, file store.File, progress func(int64)) error {
	if progress == nil {
		progress = func(int64) {}
	}
	err := errors.Join(ctx.Err(), store.CheckName(name))
	if err == nil {
		err = s.put(ctx, name, file, progress)
	}
	if err != nil {
		return fmt.Errorf("put %q: %w", name, typed(ctx, err))
	}
	progress(file.Size)
	return nil
}

func (s *Store) put(ctx context.Context, name string, file store.File, progress func(int64)) error {
	err := s.holds(ctx, name, file)
	if err == nil || !errors.Is(err, store.ErrNotFound) {
		return err
	}
	source, err := store.OpenSource(file)
	if err != nil {
		return err
	}
	defer source.Close()
	if file.Size <= s.cfg.PartSize {
		return s.putWhole(ctx, name, file, source)
	}
	return s.putParts(ctx, name, file, source, progress)
}

func (s *Store) putWhole(ctx context.Context, name string, file store.File, source *store.Source) error {
	content := make([]byte, file.Size)
	if err := readFull(source, content); err != nil {
		return err
	}
	if err := source.Verify(); err != nil {
		return err
	}
	sum := md5.Sum(content)
	put := func(ifNoneMatch *string) error {
		input := s.whole(name, file)
		input.Body, input.ContentMD5, input.IfNoneMatch = bytes.NewReader(content), base64MD5(sum), ifNoneMatch
		_, err := s.client.PutObject(ctx, input)
		return err
	}
	err := put(aws.String("*"))
	if knowsNoConditions(err) {
		err = put(nil)
	}
	if taken(err) {
		return s.holds(ctx, name, file)
	}
	if err != nil {
		return err
	}
	return s.verify(ctx, name, file, hex.EncodeToString(sum[:]))
}

// readFull takes a source that ends early for a changed one.
func readFull(source *store.Source, buf []byte) error {
	n, err := io.ReadFull(source, buf)
	if err == io.EOF && len(buf) == 0 {
		return nil
	}
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("%w: source ended %d bytes early", store.ErrCorrupt, len(buf)-n)
	}
	return err
}

func metadata(file store.File, partSize int64) map[string]string {
	m := map[string]string{metaSHA256: file.SHA256}
	if partSize > 0 {
		m[metaPartSize] = strconv.FormatInt(partSize, 10)
	}
	return m
}

// whole is the request for an object of one piece, with what the settings ask for every object.
func (s *Store) whole(name string, file store.File) *s3.PutObjectInput {
	input := &s3.PutObjectInput{Bucket: s.bucket(), Key: s.key(name), Metadata: metadata(file, 0), StorageClass: types.StorageClass(s.cfg.StorageClass)}
	input.ServerSideEncryption, input.SSEKMSKeyId = s.encryption()
	input.ObjectLockMode, input.ObjectLockRetainUntilDate = s.lock()
	return input
}

// multipart is the same for an object in parts.
func (s *Store) multipart(name string, file store.File, partSize int64) *s3.CreateMultipartUploadInput {
	input := &s3.CreateMultipartUploadInput{Bucket: s.bucket(), Key: s.key(name), Metadata: metadata(file, partSize), StorageClass: types.StorageClass(s.cfg.StorageClass)}
	input.ServerSideEncryption, input.SSEKMSKeyId = s.encryption()
	input.ObjectLockMode, input.ObjectLockRetainUntilDate = s.lock()
	return input
}

func (s *Store) encryption() (types.ServerSideEncryption, *string) {
	if s.cfg.KMSKey == "" {
		return types.ServerSideEncryption(s.cfg.SSE), nil
	}
	return types.ServerSideEncryption(s.cfg.SSE), aws.String(s.cfg.KMSKey)
}

func (s *Store) lock() (types.ObjectLockMode, *time.Time) {
	if s.cfg.LockFor == 0 {
		return "", nil
	}
	return types.ObjectLockModeGovernance, aws.Time(time.Now().Add(s.cfg.LockFor))
}

func base64MD5(sum [md5.Size]byte) *string {
	return aws.String(base64.StdEncoding.EncodeToString(sum[:]))
}

func (s *Store) head(ctx context.Context, name string) (*s3.HeadObjectOutput, error) {
	return s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: s.bucket(), Key: s.key(name)})
}

// holds returns nil when the object has the file's content, ErrNotFound when there is none, else ErrExists.
func (s *Store) holds(ctx context.Context, name string, file store.File) error {
	head, err := s.head(ctx, name)
	if absent(err) {
		return store.ErrNotFound
	}
	if err != nil {
		return err
	}
	recorded := head.Metadata[metaSHA256]
	if size := aws.ToInt64(head.ContentLength); size != file.Size || recorded != "" && recorded != file.SHA256 {
		return fmt.Errorf("%w: %s/%s has %d bytes with SHA-256 %q", store.ErrExists, s.Location(), name, size, recorded)
	}
	if recorded == file.SHA256 {
		partSize, _ := strconv.ParseInt(head.Metadata[metaPartSize], 10, 64)
		want, err := localETag(ctx, file, partSize)
		if err != nil {
			return err
		}
		if want == etag(head.ETag) {
			return nil
		}
	}
	// Another program put it, or its ETag says nothing: only the bytes tell.
	sum, err := s.reread(ctx, name)
	if err != nil {
		return err
	}
	if sum != file.SHA256 {
		return fmt.Errorf("%w: %s/%s has SHA-256 %s", store.ErrExists, s.Location(), name, sum)
	}
	return nil
}

// verify reads back what was just put. Bad content of ours is deleted: it must not stay under a final name.
func (s *Store) verify(ctx context.Context, name string, file store.File, wantETag string) error {
	head, err := s.head(ctx, name)
	if err != nil {
		return err
	}
	if recorded := head.Metadata[metaSHA256]; recorded != "" && recorded != file.SHA256 {
		return fmt.Errorf("%w: somebody else put %q at the same time", store.ErrExists, name)
	}
	got := aws.ToInt64(head.ContentLength)
	cause := fmt.Errorf("%w: the bucket shows %d bytes, sent were %d", store.ErrCorrupt, got, file.Size)
	if got == file.Size {
		if etag(head.ETag) == wantETag {
			return nil
		}
		sum, err := s.reread(ctx, name)
		if err != nil {
			return err
		}
		if sum == file.SHA256 {
			return nil
		}
		cause = fmt.Errorf("%w: the bucket holds SHA-256 %s, sent was %s", store.ErrCorrupt, sum, file.SHA256)
	}
	return errors.Join(cause, s.remove(ctx, name))
}

func (s *Store) reread(ctx context.Context, name string) (string, error) {
	r, err := s.open(ctx, name, 0)
	if err != nil {
		return "", err
	}
	defer r.Close()
	sum, _, err := store.Digest(ctx, r)
	return sum, err
}

func etag(quoted *string) string { return strings.ToLower(strings.Trim(aws.ToString(quoted), `"`)) }

// localETag works out the ETag that S3 gives the file's content: its MD5 when partSize is 0, else the MD5 of the parts' MD5s.
func localETag(ctx context.Context, file store.File, partSize int64) (string, error) {
	f, err := os.Open(file.Path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if partSize <= 0 {
		partSize = file.Size + 1
	}
	var sums []byte
	h := md5.New()
	for offset := int64(0); offset < file.Size || offset == 0; offset += partSize {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		h.Reset()
		if _, err := io.Copy(h, io.NewSectionReader(f, offset, partSize)); err != nil {
			return "", err
		}
		sums = h.Sum(sums)
	}
	if partSize > file.Size {
		return hex.EncodeToString(sums), nil
	}
	return multipartETag(sums), nil
}

func multipartETag(sums []byte) string {
	all := md5.Sum(sums)
	return fmt.Sprintf("%s-%d", hex.EncodeToString(all[:]), len(sums)/md5.Size)
}
