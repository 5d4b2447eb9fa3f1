/// What a connection has done so far, counted on its loop.
package struct ConnectionCounters: Sendable, Equatable {
  package var streamsOpened = 0
  package var bytesReceived = 0
  package var bytesSent = 0
  /// Those of them that were the bodies of calls.
  package var dataBytesSent = 0
  /// Frames that did no work (see `FrameBudget`).
  package var idleFrames = 0
  package var resetsReceived = 0
  package var resetsSent = 0
  package var pingsReceived = 0
  package var pingsSent = 0

  package init() {}
}
