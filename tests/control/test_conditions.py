"""A moment, and the hours around it."""


def test_the_week_begins_with_the_epoch_and_begins_again(fleet, forecast_of):
    """168 hours; the hour after the last is the first."""
    assert forecast_of(fleet, now_s=169 * 3600.0).hour == 1
    assert forecast_of(fleet, now_s=167 * 3600.0).next_hour().tolist() == [[167, 0]]


def test_a_day_of_slots_begins_now_and_looks_at_every_weekday(fleet, forecast_of):
    """At hour 30 the first slot is 6 o'clock: hours 30, 54, …, 166 and, a week on, 174 − 168 = 6."""
    hours, names = forecast_of(fleet, now_s=30 * 3600.0).hours_of_day()
    assert (names[0], names[-1], len(names)) == ("h06", "h05", 24)
    assert sorted(hours[0]) == [6, 30, 54, 78, 102, 126, 150]
