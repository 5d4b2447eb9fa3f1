import NIOCore

/// `google.api.HttpBody`, by hand: its two fields frame every byte of an import or a download.
struct RawBody {
  var contentType = ""
  var data = ByteBuffer()

  func encoded() -> ByteBuffer {
    var out = ByteBuffer()
    out.reserveCapacity(data.readableBytes + contentType.utf8.count + 16)
    if !contentType.isEmpty {
      out.writeTag(1, .length)
      out.writeDelimited(contentType.utf8)
    }
    if data.readableBytes > 0 {
      out.writeTag(2, .length)
      out.writeVarint(UInt64(data.readableBytes))
      out.writeImmutableBuffer(data)
    }
    return out
  }

  init(contentType: String, data: ByteBuffer) {
    self.contentType = contentType
    self.data = data
  }

  init(decoding message: ByteBuffer) throws {
    let found = message.withUnsafeReadableBytes {
      bytes -> Result<(Range<Int>, Range<Int>), MalformedMessage> in
      do throws(MalformedMessage) {
        var (contentType, data) = (0..<0, 0..<0)
        var reader = WireReader(bytes, range: 0..<bytes.count)
        while !reader.isAtEnd {
          let (number, type) = try reader.tag()
          let value = try reader.value(type)
          if number == 1, type == .length { contentType = value }
          if number == 2, type == .length { data = value }
        }
        return .success((contentType, data))
      } catch {
        return .failure(error)
      }
    }
    let (contentType, data) = try found.get()
    let start = message.readerIndex
    self.contentType = message.getString(at: start + contentType.lowerBound, length: contentType.count) ?? ""
    self.data = message.getSlice(at: start + data.lowerBound, length: data.count) ?? ByteBuffer()
  }
}
