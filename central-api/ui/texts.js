// The page's own words; names of figures come from the catalogue.
const texts = {
  uk: {
    site: "Сайт", period: "Період", today: "Сьогодні", week: "Тиждень", month: "Місяць", all_time: "Весь час",
    logIn: "Увійти", logOut: "Вийти", email: "Пошта", password: "Пароль", general: "Загальні показники", sources: "Джерела",
    sessions: "Останні сесії", export: "Завантажити CSV", docs: "Довідка API", loading: "Завантаження…", empty: "За цей період даних немає.",
    noSite: "Ще немає жодного сайту: створіть його командою central-api create-site.", notSet: "(не задано)", began: "Початок",
    visits: "Візити", place: "Місце", device: "Пристрій", coverage: "Замовлень із відомим джерелом, %", purchase: "Конверсія", yes: "так",
    small: "Це перша, мала сторінка: повна панель ще будується, а всі показники вже є в API.",
  },
  en: {
    site: "Site", period: "Period", today: "Today", week: "Week", month: "Month", all_time: "All time",
    logIn: "Log in", logOut: "Log out", email: "E-mail", password: "Password", general: "General figures", sources: "Sources",
    sessions: "Recent sessions", export: "Download CSV", docs: "API reference", loading: "Loading…", empty: "There is no data for this period.",
    noSite: "There is no site yet: make one with central-api create-site.", notSet: "(not set)", began: "Began",
    visits: "Visits", place: "Place", device: "Device", coverage: "Orders with a known source, %", purchase: "Converted", yes: "yes",
    small: "This is a first, small page: the full panel is being built, and every figure is in the API already.",
  },
};

export const language = navigator.languages.map((l) => l.slice(0, 2)).find((l) => l in texts) ?? "uk";
export const t = (key) => texts[language][key];
