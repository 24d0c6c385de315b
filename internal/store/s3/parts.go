package s3

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	"canton-backup/internal/store"
)

// partSizeFor raises the wanted part size, by whole MiB, until so many parts hold size bytes. ErrTooLarge when none may be that large.
func partSizeFor(size, want, parts int64) (int64, error) {
	need := (size + parts - 1) / parts
	if need <= want {
		return want, nil
	}
	if need > maxPartSize {
		return 0, fmt.Errorf("%w: %d bytes do not fit into %d parts of 5 GiB; raise S3_MAX_PARTS if the server allows it",
			store.ErrTooLarge, size, parts)
	}
	return (need + mebibyte - 1) / mebibyte * mebibyte, nil
}

// transfer is one multipart upload under way.
type transfer struct {
	*Store
	upload upload
	size   int64
	there  map[int32]types.Part // parts that an interrupted Put left at the server

	mu       sync.Mutex
	parts    []types.CompletedPart // by number - 1
	sent     int64
	progress func(int64)
}

func (s *Store) putParts(ctx context.Context, name string, file store.File, source *store.Source, progress func(int64)) error {
	up, there, err := s.beginUpload(ctx, name, file)
	if err != nil {
		return err
	}
	count := (file.Size + up.PartSize - 1) / up.PartSize
	t := &transfer{Store: s, upload: up, size: file.Size, there: there, parts: make([]types.CompletedPart, count), progress: progress}
	sums, err := t.sendAll(ctx, source)
	if err == nil {
		err = source.Verify()
	}
	if err == nil {
		err = ctx.Err()
	}
	if hasCode(err, "NoSuchUpload") && s.holds(ctx, name, file) == nil {
		return nil // another attempt of this Put was faster, with the same upload
	}
	if err != nil {
		return t.giveUp(ctx, err)
	}
	if err := s.complete(ctx, name, up, t.parts); err != nil {
		// The server may have completed an earlier try whose answer was lost, or somebody was faster: look.
		if !taken(err) && !hasCode(err, "NoSuchUpload") {
			return err
		}
		switch held := s.holds(ctx, name, file); {
		case held == nil:
			_ = s.endUpload(ctx, up) // the object is whole: what stays, Sweep takes
			return nil
		case errors.Is(held, store.ErrNotFound):
			return err
		default:
			return t.giveUp(ctx, held)
		}
	}
	if err := s.verify(ctx, name, file, multipartETag(sums)); err != nil {
		return err
	}
	// The object is whole and proven. A ledger that cannot be removed now is removed by Sweep.
	_ = s.remove(ctx, up.ledger)
	return nil
}

// giveUp drops the upload when its content is of no use to a later Put; otherwise it stays for that one.
func (t *transfer) giveUp(ctx context.Context, cause error) error {
	if !isFinal(cause) {
		return cause
	}
	if err := t.endUpload(ctx, t.upload); err != nil {
		return fmt.Errorf("%w (and its upload stays: %w)", cause, err)
	}
	return cause
}

// sendAll reads the source once from front to end, which makes every digest over the same bytes, and sends each part from the file
// once its MD5 is known: the server compares what arrives with that. No part is held in memory, however large. It returns the parts'
// MD5s, joined.
func (t *transfer) sendAll(ctx context.Context, source *store.Source) ([]byte, error) {
	var sums []byte
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(t.cfg.Concurrency)
	for i := range t.parts {
		number, offset := int32(i+1), int64(i)*t.upload.PartSize
		length := min(t.upload.PartSize, t.size-offset)
		sum, err := nextMD5(ctx, source, length)
		if err != nil {
			group.Go(func() error { return err })
			break
		}
		sums = append(sums, sum[:]...)
		if part, ok := t.there[number]; ok && aws.ToInt64(part.Size) == length && etag(part.ETag) == hex.EncodeToString(sum[:]) {
			t.done(number, part.ETag, length)
			continue
		}
		group.Go(func() error {
			got, err := t.client.UploadPart(ctx, &s3.UploadPartInput{
				Bucket: t.bucket(), Key: t.key(t.upload.Name), UploadId: aws.String(t.upload.ID), PartNumber: aws.Int32(number),
				Body: source.Section(offset, length), ContentMD5: base64MD5(sum),
			})
			if err != nil {
				return fmt.Errorf("send part %d of %d: %w", number, len(t.parts), err)
			}
			t.done(number, got.ETag, length)
			return nil
		})
	}
	err := group.Wait()
	if changed := source.Unchanged(); err != nil && changed != nil {
		err = changed // what was sent was not what was digested
	}
	return sums, err
}

// nextMD5 digests the next length bytes of the source. One that ends early was changed.
func nextMD5(ctx context.Context, source *store.Source, length int64) (sum [md5.Size]byte, err error) {
	h := md5.New()
	buf := make([]byte, min(length, mebibyte))
	for left := length; left > 0; left -= int64(len(buf)) {
		if err := ctx.Err(); err != nil {
			return sum, err
		}
		buf = buf[:min(left, int64(len(buf)))]
		if err := readFull(source, buf); err != nil {
			return sum, err
		}
		h.Write(buf)
	}
	h.Sum(sum[:0])
	return sum, nil
}

// done records a part that is at the server. It returns after progress did: the next read of the source comes later.
func (t *transfer) done(number int32, etag *string, size int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.parts[number-1] = types.CompletedPart{PartNumber: aws.Int32(number), ETag: etag}
	t.sent += size
	if t.sent < t.size { // the full size is for Put to report, after the read-back
		t.progress(t.sent)
	}
}

// complete makes the object of the parts, unless the name was taken meanwhile. Servers that cannot ask this atomically get a
// look just before.
func (s *Store) complete(ctx context.Context, name string, up upload, parts []types.CompletedPart) error {
	call := func(ifNoneMatch *string) error {
		_, err := s.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
			Bucket: s.bucket(), Key: s.key(name), UploadId: aws.String(up.ID),
			MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}, IfNoneMatch: ifNoneMatch,
		})
		return err
	}
	if _, err := s.head(ctx, name); err == nil {
		return errTaken
	}
	err := call(aws.String("*"))
	if knowsNoConditions(err) {
		err = call(nil)
	}
	if err != nil {
		return fmt.Errorf("complete upload of %d parts: %w", len(parts), err)
	}
	return nil
}
